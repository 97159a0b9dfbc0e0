/* upgrade.h: SIGUSR2: the program is started again, is handed what we listen on, and says when it serves (link.h). One per process.
 *
 *   NONE ──upgrade_start──▶ STARTING ──it serves──▶ SERVING ─ we drain, and end
 *     ▲────it says why not, ends, or is silent────────┘
 *
 * A thread of its own waits for the other end, so that control never does. Main thread. */
#ifndef KVMUX_MAIN_UPGRADE_H
#define KVMUX_MAIN_UPGRADE_H

#include "admin/control.h"

enum upgrade_state { UPGRADE_NONE, UPGRADE_STARTING, UPGRADE_SERVING, UPGRADE_FAILED };

/* Where the program is, as it was started: an absolute path that is not looked into, so that a link may point elsewhere later. */
void upgrade_init(char **argv);
/* False: `why` says why, and nothing happened. After a start control is woken when there is news. */
bool upgrade_start(struct control *, const struct listeners *, uint64_t first_id, char *why, size_t room);
/* Called after each turn of control. SERVING and FAILED are said once; `why` is then why it failed. */
enum upgrade_state upgrade_news(char *why, size_t room);
bool upgrade_under_way(void);
/* After SERVING: where clients go that are handed over; NULL: the new program does not understand how. */
struct mailbox *upgrade_heir(void);
/* Nobody waits for anything any more. At the end of the program, before the last upgrade_news. */
void upgrade_end(void);

#endif
