/* inherit.h: what the program is handed at its start: by the one whose successor it is (link.h), or by a service manager
 * (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS). One per process. Main thread. */
#ifndef KVMUX_MAIN_INHERIT_H
#define KVMUX_MAIN_INHERIT_H

#include "admin/listeners.h"
#include "main/threads.h"

/* Before anything else is done with descriptors or the environment, and before there are threads: notes what is there, and lets no child
 * have it. With a service manager a successor goes on in a child whose parent has ended. */
void inherit_begin(void);
/* We are somebody's successor, and it has not ended. */
bool inherit_pending(void);
/* Takes the descriptors. False: `why` says what is wrong with them. */
bool inherit_take(struct listeners *, char *why, size_t room);
int inherit_pid_fd(void);        /* the locked pid file of the one before; -1: none. Taken by the caller */
uint64_t inherit_first_id(void); /* no client of ours gets a lower id */
/* Tells the one before that it may go, or why it has to stay. False: there is none any more. */
bool inherit_serving(void);
void inherit_failed(const char *why);

/* From now on the clients that the one before hands over get to the workers; until it ends, or inherit_end. False: errno says why. */
bool inherit_clients(struct threads *);
/* It ended, and so many clients came over. Said once. */
bool inherit_over(uint32_t *clients);
void inherit_end(void);

#endif
