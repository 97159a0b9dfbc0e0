#include "admin/health.h"

#include "admin/control_state.h"
#include "base/mem.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- fakes: a clock that the test moves, one timer, one stream ---- */

static int64_t now;
static struct timer *set_timer; /* the one that is set; NULL: none */
static const struct stream_ops *open_ops; /* of the open stream; NULL: none */
static struct stream *open_stream;
static enum reason connect_why; /* what stream_connect answers */
static uint8_t connect_to;      /* first byte of the address that was tried last */
static uint32_t connects, rings, watches;
static char sent[64];
static size_t sent_n, send_room;

int64_t loop_now(const struct loop *loop) {
    return now;
}

int64_t loop_wall(const struct loop *loop) {
    return now + 1000000000;
}

void timer_init(struct timer *t, timer_fn *fn) {
    *t = (struct timer){.fn = fn};
}

void timer_set(struct loop *loop, struct timer *t, int64_t at) {
    assert_true(at > now);
    t->at = at;
    set_timer = t;
}

void timer_cancel(struct loop *loop, struct timer *t) {
    set_timer = NULL;
}

enum reason stream_connect(struct loop *loop, struct stream *s, const struct stream_ops *ops, const struct addr *addr,
                           const struct connect_opts *opts) {
    assert_null(open_stream);
    connects++;
    connect_to = addr->sa.bytes[0];
    if (connect_why == REASON_NONE) {
        open_stream = s;
        open_ops = ops;
    }
    return connect_why;
}

void stream_close(struct stream *s) {
    open_stream = NULL;
    open_ops = NULL;
}

size_t stream_send(struct stream *s, const struct iovec *iov, int n) {
    assert_ptr_equal(s, open_stream);
    assert_int_equal(n, 1);
    size_t take = min_size(iov->iov_len, send_room);
    memcpy(sent + sent_n, iov->iov_base, take);
    sent_n += take;
    return take;
}

void control_post_watch(struct control *c, uint32_t pool, uint32_t server) {
    watches++;
}

uint32_t conf_server_db(const struct conf_pool *pool, const struct conf_server *server) {
    return (uint32_t)pool->redis_db;
}

struct greeting conf_greeting(const struct conf_pool *p, uint32_t user) {
    return (struct greeting){.user = p->server_user, .password = p->redis_auth};
}

void control_post_ring(struct control *c, uint32_t pool) {
    rings++;
}

/* A protocol of one-letter replies: G good, E error, L loading, anything else garbage. */
static enum parse_rc letter_rsp(struct parser *p, const struct cmd *cmd, struct slice in, struct rsp *rsp) {
    rsp->len = 1;
    rsp->kind = in.p[0] == 'G' ? RSP_GOOD : in.p[0] == 'E' ? RSP_ERROR : RSP_LOADING;
    return strchr("GEL", in.p[0]) != NULL ? PARSE_DONE : in.p[0] == '.' ? PARSE_MORE : PARSE_BAD;
}

static uint32_t letter_greet(const struct greeting *g, struct out *out) {
    if (g->password == NULL) {
        return 0;
    }
    out_str(out, "auth ");
    return 1;
}

static void letter_probe(struct out *out) {
    out_str(out, "probe");
}

const struct proto *proto_by_id(enum proto_id id) {
    static const struct proto letters = {.parse_rsp = letter_rsp, .greet = letter_greet, .probe = letter_probe};
    return &letters;
}

/* ---- the world: one pool, one server ---- */

static struct conf_server server = {.name = (char *)"s", .address = (char *)"s:1", .addr = {.len = 2, .sa.bytes = {1}}};
static struct conf_pool pool;
static struct conf conf = {.pools = &pool, .npools = 1};
static struct control_pool control_pool, *control_pools[] = {&control_pool};
static struct control control;
static struct health h;

static int begin(void **state) {
    now = 1000000;
    set_timer = NULL;
    open_stream = NULL;
    connect_why = REASON_NONE;
    connects = rings = 0;
    sent_n = 0;
    send_room = sizeof sent;
    control_pool = (struct control_pool){0};
    pool = (struct conf_pool){
        .name = (char *)"p",
        .servers = &server,
        .nservers = 1,
        .auto_eject_hosts = true,
        .server_failure_limit = 2,
        .server_retry_timeout = 30000,
        .connect_timeout = 3000,
    };
    control = (struct control){.conf = &conf, .pools = control_pools};
    bufpool_init(&control.bufs);
    health_init(&h, &control, 0, 0);
    return 0;
}

static int end(void **state) {
    health_fini(&h);
    bufpool_fini(&control.bufs);
    return 0;
}

static void again(void) {
    end(NULL);
    begin(NULL);
}

static void failed(int64_t opened_at, int64_t at) {
    now = at > now ? at : now;
    struct mail_health m = {.reason = REASON_REFUSED, .opened_at = opened_at, .at = at};
    health_failed(&h, &m);
}

static void works(int64_t at) {
    struct mail_health m = {.at = at};
    health_works(&h, &m);
}

static void eject(void) {
    failed(now, now + 1);
    failed(now + 1, now + 2);
    assert_int_equal(h.state, HEALTH_EJECTED);
}

static void fire(void) {
    struct timer *t = set_timer;
    assert_non_null(t);
    set_timer = NULL;
    now = t->at;
    t->fn(t);
}

static size_t answer(const char *bytes) {
    return open_ops->on_recv(open_stream, NULL, slice_str(bytes));
}

/* ---- tests ---- */

static void test_same_episode(void **state) {
    static const struct {
        int64_t opened_at, failed_at;
        bool same;
    } rows[] = {
        {0, 0, false},
        {5, 10, true}, /* it was open when the first one failed */
        {9, 10, true},
        {10, 10, false}, /* opened after the failure, in the same turn */
        {11, 10, false},
        {INT64_MIN, 0, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(health_same_episode(rows[i].opened_at, rows[i].failed_at), rows[i].same);
    }
}

/* Ten connections that were open when the first failed are one failure; a new connection that fails is another. */
static void test_episodes_eject(void **state) {
    for (int i = 0; i < 10; i++) {
        failed(500 + i, 2000000 + i);
    }
    assert_int_equal(h.failures, 1);
    assert_int_equal(h.state, HEALTH_ALIVE);
    failed(2000000, 3000000);
    assert_int_equal(h.state, HEALTH_EJECTED);
    assert_int_equal(rings, 1);
    assert_true(control_pool.block.v[POOL_server_ejects] == 1);
    assert_true(h.ejected_at == 1003000000);
    failed(3000000, 3000001); /* others that notice later say nothing new */
    assert_int_equal(rings, 1);
    assert_true(control_pool.block.v[POOL_server_ejects] == 1);
}

static void test_works_resets(void **state) {
    failed(1000000, 2000000);
    works(1999999); /* older than the failure */
    assert_int_equal(h.failures, 1);
    works(2000001);
    assert_int_equal(h.failures, 0);
    failed(2000002, 3000000);
    assert_int_equal(h.state, HEALTH_ALIVE);
}

static void test_no_eject(void **state) {
    pool.auto_eject_hosts = false;
    for (int i = 1; i < 20; i++) {
        failed(i * 2000000, i * 2000000 + 1);
    }
    assert_int_equal(h.state, HEALTH_ALIVE);
    assert_int_equal(rings, 0);
    assert_null(set_timer);
}

static void test_limit_zero(void **state) {
    pool.server_failure_limit = 0;
    failed(1, 2000000);
    assert_int_equal(h.state, HEALTH_EJECTED);
}

static void test_probe_returns(void **state) {
    eject();
    int64_t at = now;
    fire();
    assert_true(now == at + 30000000);
    assert_int_equal(h.state, HEALTH_PROBING);
    assert_true(set_timer->at == now + 3000000);
    open_ops->on_connect(open_stream);
    assert_memory_equal(sent, "probe", 5);
    assert_int_equal(answer("."), 0);
    answer("E"); /* any answer shows that it serves */
    assert_int_equal(h.state, HEALTH_ALIVE);
    assert_int_equal(h.failures, 0);
    assert_int_equal(rings, 2);
    assert_null(open_stream);
    assert_null(set_timer);
    assert_true(h.ejected_at != 0); /* kept, as nutcracker does */
}

/* With a password the greeting comes first and must succeed. */
static void test_probe_greets(void **state) {
    static const struct {
        const char *answer;
        bool alive;
    } rows[] = {{"GG", true}, {"GE", true}, {"GL", false}, {"EG", false}, {"LG", false}, {"?", false}, {"G?", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        again();
        pool.redis_auth = (char *)"secret";
        eject();
        fire();
        open_ops->on_connect(open_stream);
        assert_memory_equal(sent, "auth probe", 10);
        answer(rows[i].answer);
        assert_int_equal(h.state, rows[i].alive ? HEALTH_ALIVE : HEALTH_EJECTED);
        assert_int_equal(set_timer != NULL, !rows[i].alive); /* the next try */
        assert_null(open_stream);
    }
}

/* However a probe fails: closed, and tried again later. */
static void test_probe_fails(void **state) {
    for (int how = 0; how < 6; how++) {
        again();
        eject();
        connect_why = how == 0 ? REASON_REFUSED : REASON_NONE;
        send_room = how == 1 ? 3 : sizeof sent;
        fire();
        switch (how) {
        case 0:
            break;
        case 1:
            open_ops->on_connect(open_stream);
            break;
        case 2:
            open_ops->on_error(open_stream, REASON_REFUSED);
            break;
        case 3:
            open_ops->on_connect(open_stream);
            open_ops->on_eof(open_stream);
            break;
        case 4:
            open_ops->on_connect(open_stream);
            answer("L");
            break;
        default:
            fire(); /* silence */
        }
        assert_int_equal(h.state, HEALTH_EJECTED);
        assert_null(open_stream);
        assert_true(set_timer != NULL && set_timer->at == now + 30000000);
        assert_int_equal(rings, 1);
    }
}

static void test_probe_pace(void **state) {
    pool.server_retry_timeout = 0; /* nutcracker's "at once" still has a pause */
    eject();
    connect_why = REASON_REFUSED;
    for (uint32_t i = 1; i <= 5; i++) {
        int64_t at = now;
        fire();
        assert_true(now - at >= 100000);
        assert_int_equal(connects, i);
    }
}

static void test_probe_addresses(void **state) {
    eject();
    h.naddrs = 0; /* the name does not resolve: wait, try nothing */
    fire();
    assert_int_equal(h.state, HEALTH_EJECTED);
    assert_int_equal(connects, 0);
    h.addrs[1] = (struct addr){.len = 2, .sa.bytes = {2}};
    h.naddrs = 2;
    connect_why = REASON_REFUSED;
    for (uint32_t i = 0; i < 4; i++) { /* one after the other */
        fire();
        assert_int_equal(connect_to, 1 + i % 2);
    }
}

/* An operator's word counts until he takes it back: neither failures nor replies nor time change it. */
static void test_operator(void **state) {
    assert_string_equal(health_word(&h), "up");
    assert_false(health_bring_back(&h));
    assert_true(health_take_out(&h));
    assert_false(health_take_out(&h));
    assert_string_equal(health_word(&h), "out");
    assert_int_equal(rings, 1);
    assert_true(control_pool.block.v[POOL_server_ejects] == 1 && h.ejected_at != 0);
    assert_null(set_timer);
    failed(2000000, 3000000);
    failed(4000000, 5000000);
    works(6000000);
    pool.auto_eject_hosts = false;
    health_changed(&h, true); /* nor does another configuration */
    assert_int_equal(h.state, HEALTH_OUT);
    assert_int_equal(rings, 1);
    assert_true(health_bring_back(&h));
    assert_int_equal(h.state, HEALTH_ALIVE);
    assert_int_equal(rings, 2);
}

/* ... and ends an ejection, a probe included, in either direction. */
static void test_operator_during_probe(void **state) {
    eject();
    assert_string_equal(health_word(&h), "ejected");
    assert_true(health_bring_back(&h));
    assert_null(set_timer);
    assert_int_equal(h.state, HEALTH_ALIVE);
    eject();
    fire();
    assert_string_equal(health_word(&h), "probing");
    assert_non_null(open_stream);
    assert_true(health_take_out(&h));
    assert_null(open_stream);
    assert_null(set_timer);
    assert_int_equal(h.state, HEALTH_OUT);
}

static void test_words(void **state) {
    pool.auto_eject_hosts = false;
    failed(1, 2000000);
    assert_string_equal(health_word(&h), "failing");
    h.naddrs = 0;
    assert_string_equal(health_word(&h), "unresolved");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_episode),
        cmocka_unit_test_setup_teardown(test_episodes_eject, begin, end),
        cmocka_unit_test_setup_teardown(test_works_resets, begin, end),
        cmocka_unit_test_setup_teardown(test_no_eject, begin, end),
        cmocka_unit_test_setup_teardown(test_limit_zero, begin, end),
        cmocka_unit_test_setup_teardown(test_probe_returns, begin, end),
        cmocka_unit_test_setup_teardown(test_probe_greets, begin, end),
        cmocka_unit_test_setup_teardown(test_probe_fails, begin, end),
        cmocka_unit_test_setup_teardown(test_probe_pace, begin, end),
        cmocka_unit_test_setup_teardown(test_probe_addresses, begin, end),
        cmocka_unit_test_setup_teardown(test_operator, begin, end),
        cmocka_unit_test_setup_teardown(test_operator_during_probe, begin, end),
        cmocka_unit_test_setup_teardown(test_words, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
