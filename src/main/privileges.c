#include "main/privileges.h"

#include "base/log.h"
#include "io/append.h"
#include "main/logfile.h"
#include "main/pidfile.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool find(const struct conf *c, uid_t *uid, gid_t *gid, char *why, size_t room) {
    const struct passwd *user = getpwnam(c->user);
    if (user == NULL) {
        snprintf(why, room, "user: there is no user '%s' on this machine", c->user);
        return false;
    }
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    const struct group *group = c->group != NULL ? getgrnam(c->group) : NULL;
    if (c->group != NULL && group == NULL) {
        snprintf(why, room, "group: there is no group '%s' on this machine", c->group);
        return false;
    }
    if (group != NULL) {
        *gid = group->gr_gid;
    }
    return true;
}

bool privileges_check(const struct conf *c, char *why, size_t room) {
    uid_t uid;
    gid_t gid;
    return c->user == NULL || find(c, &uid, &gid, why, room);
}

/* The access log is opened later, by the user, who may not be allowed to make a file there. What is no file of its own is not given away. */
static bool give_access_log(const char *path, uid_t uid, gid_t gid) {
    const char *why;
    struct stat st;
    int fd = path != NULL ? append_open(path, &why) : -1;
    bool ok = fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || fchown(fd, uid, gid) == 0; /* fd < 0: the log says it later */
    append_close(fd);
    return ok;
}

/* They were made by root, and are written and removed by the user. */
static bool give_files(const struct conf *c, uid_t uid, gid_t gid) {
    return (logfile_fd() < 0 || fchown(logfile_fd(), uid, gid) == 0) && (pidfile_fd() < 0 || fchown(pidfile_fd(), uid, gid) == 0) &&
           give_access_log(c->access_log, uid, gid);
}

bool privileges_drop(const struct conf *c, char *why, size_t room) {
    uid_t uid;
    gid_t gid;
    if (c->user == NULL) {
        return true;
    }
    if (!find(c, &uid, &gid, why, room)) {
        return false;
    }
    if (geteuid() == uid && getuid() == uid) {
        return true;
    }
    if (geteuid() != 0) {
        snprintf(why, room, "user: only root can become '%s'; start kvmux as root, or as '%s'", c->user, c->user);
        return false;
    }
    /* groups first: afterwards nothing of it would be allowed */
    if (!give_files(c, uid, gid) || initgroups(c->user, gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0) {
        snprintf(why, room, "user: cannot become '%s': %s", c->user, strerror(errno));
        return false;
    }
    if (uid != 0 && setuid(0) == 0) {
        snprintf(why, room, "user: '%s' can become root again", c->user);
        return false;
    }
    log_line(LOG_NOTICE, "privileges_dropped user=%s uid=%u gid=%u", c->user, (unsigned)uid, (unsigned)gid);
    return true;
}
