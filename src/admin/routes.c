#include "admin/request.h"

#define ROUTE(method, path, args, fn, access, help) {#method, path, args, fn, ACCESS_##access, help},
const struct http_route http_routes[] = {
#include "admin/routes.def"
};
#undef ROUTE
const uint32_t http_nroutes = ARRAY_LEN(http_routes);
