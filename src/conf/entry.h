/* entry.h: one entry of `listen:`, `servers:` or `users:`. */
#ifndef KVMUX_CONF_ENTRY_H
#define KVMUX_CONF_ENTRY_H

#include "conf/text.h"

/* "host:port", "[::1]:port", "/path", "/path 0660" (compat part 2.3). False after telling the problem; then nothing
 * was allocated. */
bool listen_parse(const struct node *, conf_resolve_fn *, struct conf_problems *, struct conf_listen *);
void listen_fini(struct conf_listen *);

/* "host:port:weight [name]", "/path:weight [name]" (compat part 2.4), or a mapping: {host, port, weight, name},
 * {path, weight, name}. As listen_parse. */
bool server_parse(const struct node *, struct conf_problems *, struct conf_server *);
void conf_server_fini(struct conf_server *);

/* One entry of `users:`: {name, password, server_user, server_password}. As listen_parse. */
bool user_parse(const struct node *, struct conf_problems *, struct user *);
void user_fini(struct user *);

/* nutcracker's order of servers and pools: the shorter name first, then by unsigned bytes. */
int name_compare(const char *a, const char *b);

#endif
