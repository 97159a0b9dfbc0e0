/* prom.h: all metrics in the text format 0.0.4 of Prometheus: HELP and TYPE for each row of the tables of stats/. Control
 * thread. */
#ifndef KVMUX_ADMIN_PROM_H
#define KVMUX_ADMIN_PROM_H

#include "base/str.h"

struct control;

#define PROM_TYPE "text/plain; version=0.0.4; charset=utf-8"
void prom_metrics(const struct control *, struct str *);
/* The part of it that is histograms (stats/times.h). */
void prom_times(const struct control *, struct str *);
/* `name="value"`, with quotes, backslashes and line ends escaped. Pure. */
void prom_label(struct str *, const char *name, const char *value);

#endif
