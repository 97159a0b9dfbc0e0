/* page.h: the page at `/`, made from page.html by the build (tools/embed-page). */
#ifndef KVMUX_ADMIN_PAGE_H
#define KVMUX_ADMIN_PAGE_H

#include <stddef.h>

extern const char page_html[];
extern const size_t page_len;
extern const char page_type[];
/* Its Content-Security-Policy: nothing but its own script and style, by their hashes, and requests to where it came from. */
extern const char page_policy[];

#endif
