#include "main/privileges.h"

#include "base/log.h"
#include "main/logfile.h"
#include "main/pidfile.h"

#include <errno.h>
#include <fcntl.h>
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

/* Control opens the access log later, as the user, who may not be able to make a file there: so it is made now. A user who owns the folder
 * can put anything at that place, hence only a plain file with one name is given away. What fails is said when control opens it. */
static bool give_access_log(const char *path, uid_t uid, gid_t gid) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
    if (fd < 0) {
        return true;
    }
    struct stat st;
    bool ok = fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 || fchown(fd, uid, gid) == 0;
    close(fd);
    return ok;
}

/* They were made by root, and are written and removed by the user. */
static bool give_files(const struct conf *c, uid_t uid, gid_t gid) {
    return (logfile_fd() < 0 || fchown(logfile_fd(), uid, gid) == 0) && (pidfile_fd() < 0 || fchown(pidfile_fd(), uid, gid) == 0) &&
           (c->access_log == NULL || give_access_log(c->access_log, uid, gid));
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
