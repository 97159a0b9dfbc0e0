#include "admin/guard.h"

#include "io/addr.h"

/* "name", "name:80", "[::1]:80": without the port. */
static struct slice host_of(const char *text) {
    const char *end = strchr(text, ']');
    if (text[0] == '[' && end != NULL && (end[1] == ':' || end[1] == '\0')) {
        return slice(text + 1, (size_t)(end - text) - 1);
    }
    return slice(text, strcspn(text, ":"));
}

bool guard_host(const char *text, const char *own) {
    struct addr ignored;
    if (text == NULL) {
        return true; /* a browser sends one */
    }
    struct slice host = host_of(text);
    return addr_ip(&ignored, host, 0) || slice_ieq(host, slice_str("localhost")) ||
           (own != NULL && slice_ieq(host, slice_str(own)));
}

bool guard_origin(const struct visitor *v) {
    if (v->origin == NULL) {
        const char *site = v->fetch_site; /* what browsers say of a request's sender; other programs say nothing */
        return site == NULL || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    }
    const char *host = strstr(v->origin, "://");
    return host != NULL && v->host != NULL && slice_ieq(slice_str(host + 3), slice_str(v->host));
}

bool guard_token(const char *authorization, const char *token) {
    static const char scheme[] = "bearer ";
    size_t n = sizeof scheme - 1;
    if (authorization == NULL || strlen(authorization) < n || !slice_ieq(slice(authorization, n), slice(scheme, n))) {
        return false;
    }
    struct slice given = slice_str(authorization + n), want = slice_str(token);
    unsigned differ = given.n != want.n;
    for (size_t i = 0; i < given.n; i++) {
        differ |= (unsigned)given.p[i] ^ (want.n > 0 ? want.p[i % want.n] : 1u);
    }
    return differ == 0;
}

enum guard_says guard_judge(const struct guard *g, enum access access, const struct visitor *v) {
    if (access == ACCESS_OPEN) {
        return GUARD_PASS;
    }
    if (g->token == NULL && !g->unix_path && !guard_host(v->host, g->name)) {
        return GUARD_HOST;
    }
    if (access == ACCESS_WRITE && !guard_origin(v)) {
        return GUARD_ORIGIN;
    }
    if (access != ACCESS_PAGE && g->token != NULL && !guard_token(v->authorization, g->token)) {
        return GUARD_TOKEN;
    }
    if (access == ACCESS_WRITE && g->token == NULL && !g->local) {
        return GUARD_REMOTE;
    }
    return GUARD_PASS;
}

const char *guard_words(enum guard_says what) {
    switch (what) {
    case GUARD_PASS: break;
    case GUARD_HOST: return "the header Host names neither an address nor localhost; use the address, give the name with --admin NAME:PORT, or set admin_token";
    case GUARD_ORIGIN: return "the request comes from a page of another site";
    case GUARD_TOKEN: return "send the header \"Authorization: Bearer TOKEN\" with the token of the configuration";
    case GUARD_REMOTE: return "POST to an address that other machines reach needs a token: set admin_token or --admin-token-file";
    }
    return "";
}
