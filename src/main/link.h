/* link.h: what a running program and its successor say to each other (docs/architecture.md, "Upgrade"): records over a socket pair
 * that also carries descriptors. Blocking; whichever thread has the end uses it.
 *
 *   old ─▶ new   HELLO, LISTENERS..., [PIDFILE], BEGIN                 then, when the new one serves: CLIENT...
 *   new ─▶ old   SERVING, or FAILED with the reason
 *
 * A record is a struct of below, as it lies in memory: both run on one machine. These do not change between versions, new ones
 * are added at the end; a CLIENT has a version of its own, and is not sent to somebody who says another one. */
#ifndef KVMUX_MAIN_LINK_H
#define KVMUX_MAIN_LINK_H

#include "base/base.h"

#include <sys/types.h>

#define LINK_ENV "KVMUX_UPGRADE" /* the number of the descriptor that the new program finds its end at */
#define LINK_VERSION 1
#define LINK_FDS_MAX 64          /* in one record; systems take 253 and more */
#define LINK_WHY_MAX 480         /* bytes of a reason */
#define LINK_RECORD_MAX (200u << 10)

enum link_kind { LINK_HELLO = 1, LINK_LISTENERS, LINK_PIDFILE, LINK_BEGIN, LINK_SERVING, LINK_FAILED, LINK_CLIENT };

struct link_head {
    uint32_t kind;
    uint32_t n; /* LISTENERS: 1: unix paths among them are ours to remove. SERVING: PASSPORT_VERSION. HELLO: LINK_VERSION */
};
struct link_hello {
    struct link_head head;
    uint64_t first_id; /* no client of the new program gets a lower id */
};

/* Both ends are closed on exec, and wait no longer than `msec` to send. False: errno says why. */
bool link_pair(int ends[2], int msec);
/* Two pieces in one record. False: errno says why; the descriptors stay the caller's. */
bool link_send(int link, const void *head, size_t nhead, const void *bytes, size_t n, const int *fds, unsigned nfds);
/* The next record, of LINK_RECORD_MAX bytes at most; fds has room for LINK_FDS_MAX, which are closed on exec. Waits `msec` at most (-1:
 * as long as it takes). Returns its length; 0: the other end is closed; -1: errno says why. */
ssize_t link_recv(int link, void *to, size_t room, int *fds, unsigned *nfds, int msec);

#endif
