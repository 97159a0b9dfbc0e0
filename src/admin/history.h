/* history.h: the last five minutes, for the page: what it draws when it is opened. A sample every two seconds of what control
 * can add up; begins anew with another configuration. Control thread. */
#ifndef KVMUX_ADMIN_HISTORY_H
#define KVMUX_ADMIN_HISTORY_H

#include "base/str.h"

struct control;
struct history;

struct history *history_new(struct control *);
void history_free(struct history **);
void history_json(const struct history *, struct str *);

#endif
