/* Who is believed, how connections fail, sessions that are resumed, and handshakes that wait for their turn. */
#include "tls_test.h"

#include <poll.h>

static const struct flow none, one_byte = {(uint8_t[]){'x'}, 1, 0};

/* ---- failures of those who connect to us ---- */

struct refusal {
    const char *name;
    void (*act)(struct pair *, struct far *);
    enum reason why;
    const char *words; /* NULL: no news */
};

static void say_plain(struct pair *p, struct far *f) {
    assert_int_equal(write(f->fd, "*1\r\n$4\r\nPING\r\n", 14), 14);
}

static void leave(struct pair *p, struct far *f) {
    shutdown(f->fd, SHUT_WR);
}

static void leave_midway(struct pair *p, struct far *f) {
    far_shake(f, 40);
    shutdown(f->fd, SHUT_WR);
}

static void shake(struct far *f) {
    far_shake(f, SIZE_MAX);
}

static void old_version(struct pair *p, struct far *f) {
    SSL_set_max_proto_version(f->ssl, TLS1_2_VERSION);
    shake(f);
}

static void wait_long(struct pair *p, struct far *f) {
    far_shake(f, 40);
}

static void no_certificate(struct pair *p, struct far *f) {
    SSL_set_max_proto_version(f->ssl, TLS1_3_VERSION);
    shake(f);
}

static void own_certificate(struct pair *p, struct far *f) {
    SSL_use_certificate(f->ssl, p->other.x);
    SSL_use_PrivateKey(f->ssl, p->other.key);
    shake(f);
}

static void run_refusals(const struct tls_opts *opts, const struct refusal *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct pair p;
        struct far far;
        struct side s = {0};
        pair_init(&p, opts);
        pair_connect(&p, &s, &none, &far);
        rows[i].act(&p, &far);
        int64_t end = loop_now(p.net.loop) + DEADLINE_USEC;
        while (s.errors == 0 && loop_now(p.net.loop) < end) {
            loop_turn(p.net.loop, 1000);
            if (rows[i].act != wait_long && rows[i].act != leave_midway && rows[i].act != say_plain) {
                shake(&far);
            }
        }
        if (s.errors != 1 || s.why != rows[i].why || strcmp(p.heard.words, rows[i].words != NULL ? rows[i].words : "") != 0) {
            fail_msg("%s: %u errors, %s, \"%s\"", rows[i].name, s.errors, reason_name(s.why), p.heard.words);
        }
        assert_int_equal(s.eofs + s.shown + p.heard.n[TLS_DONE], 0);
        side_fini(&s);
        far_close(&far);
        pair_fini(&p);
    }
}

static void test_refused(void **state) {
    static const struct refusal rows[] = {
        {"plain text", say_plain, REASON_NOT_TLS, "plain text instead of TLS"},
        {"not a word", leave, REASON_EOF, NULL},
        {"midway", leave_midway, REASON_EOF, "connection closed by the peer"},
    };
    static const struct refusal newest[] = {{"old version", old_version, REASON_TLS, "unsupported protocol"}};
    static const struct refusal strict[] = {
        {"no certificate", no_certificate, REASON_TLS, "peer did not return a certificate"},
        {"own certificate", own_certificate, REASON_TLS, "certificate verify failed: self-signed certificate"},
    };
    static const struct refusal late[] = {{"late", wait_long, REASON_TLS_LATE, "the handshake takes too long"}};
    run_refusals(NULL, rows, ARRAY_LEN(rows));
    run_refusals(&(struct tls_opts){.min_version = TLS_1_3}, newest, 1);
    run_refusals(&(struct tls_opts){.verify = TLS_VERIFY_REQUIRED}, strict, 2);
    run_refusals(&(struct tls_opts){.verify = TLS_VERIFY_OPTIONAL}, strict + 1, 1);
    run_refusals(&(struct tls_opts){.patience = 20000}, late, 1);
}

/* Optional: nobody has to show anything, and whoever does shows a good one. */
static void test_client_certificate(void **state) {
    struct pair p;
    pair_init(&p, &(struct tls_opts){.verify = TLS_VERIFY_OPTIONAL});
    for (int shows = 0; shows < 2; shows++) {
        struct far far;
        struct side s = {0};
        if (shows) {
            SSL_CTX_use_certificate(p.far, p.id.x);
            SSL_CTX_use_PrivateKey(p.far, p.id.key);
        }
        pair_open(&p, &s, &none, &far);
        assert_int_equal(p.heard.n[TLS_DONE], 1);
        side_fini(&s);
        far_close(&far);
    }
    pair_fini(&p);
}

/* A record that was tampered with: what came before it is shown, then the connection is dead. */
static void test_broken_record(void **state) {
    struct flow f = {0};
    struct pair p;
    struct far far;
    struct side s = {0};
    char *bytes;
    flow_add(&f, 10);
    flow_add(&f, 10);
    pair_init(&p, NULL);
    pair_open(&p, &s, &f, &far);
    far_write(&far, f.bytes, 14);
    far_write(&far, f.bytes + 14, 14);
    long n = BIO_get_mem_data(far.out, &bytes);
    bytes[n - 1] ^= 1;
    far_push(&far, SIZE_MAX);
    UNTIL(p.net.loop, s.errors == 1);
    assert_int_equal(s.why, REASON_TLS);
    assert_int_equal(s.taken, 14);
    assert_string_equal(p.heard.words, "decryption failed or bad record mac");
    pair_end(&p, &s, &far, &f);
}

/* TLS 1.2: who wants to negotiate again is told no. */
static void test_renegotiation(void **state) {
    struct flow f = {0};
    struct pair p;
    struct far far;
    struct side s = {0};
    flow_add(&f, 10);
    pair_init(&p, NULL);
    SSL_CTX_set_max_proto_version(p.far, TLS1_2_VERSION);
    pair_open(&p, &s, &f, &far);
    assert_int_equal(SSL_renegotiate(far.ssl), 1);
    int64_t end = loop_now(p.net.loop) + DEADLINE_USEC;
    while (ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_NO_RENEGOTIATION && loop_now(p.net.loop) < end) {
        far_push(&far, SIZE_MAX);
        loop_turn(p.net.loop, 1000);
        far_pull(&far, SIZE_MAX);
        SSL_do_handshake(far.ssl);
    }
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    assert_int_equal(p.heard.n[TLS_DONE], 1);
    pair_end(&p, &s, &far, &f);
}

/* ---- pauses and ends ---- */

/* A FIN while paused: told at once, and shown behind what came before it. */
static void test_hup(void **state) {
    struct flow f = {0};
    struct pair p;
    struct far far;
    struct side s = {0};
    flow_add(&f, 100);
    pair_init(&p, NULL);
    pair_open(&p, &s, &f, &far);
    stream_pause(&s.stream);
    far_write(&far, f.bytes, f.len);
    SSL_shutdown(far.ssl);
    far_push(&far, SIZE_MAX);
    shutdown(far.fd, SHUT_WR);
    UNTIL(p.net.loop, stream_hung_up(&s.stream));
    assert_int_equal(s.shown + s.eofs, 0);
    stream_resume(&s.stream);
    UNTIL(p.net.loop, s.eofs == 1);
    assert_int_equal(s.taken, f.len);
    /* half closed: we may still speak */
    struct iovec iov = {f.bytes, f.len};
    uint8_t bytes[256];
    assert_int_equal(stream_send(&s.stream, &iov, 1), f.len);
    UNTIL(p.net.loop, far_read(&far, bytes, sizeof bytes) == f.len);
    pair_end(&p, &s, &far, &f);
}

/* ---- connections that we make ---- */

/* The far end is the one that listens, in the hands of the test. */
static void pair_init_dial(struct pair *p) {
    pair_init(p, NULL);
    listener_close(&p->listener);
    net_fini(&p->net);
    net_init(&p->net, false);
    SSL_CTX_use_certificate(p->far, p->id.x);
    SSL_CTX_use_PrivateKey(p->far, p->id.key);
}

/* One connection to the far end as server. Returns on_connect's count. */
static unsigned dial(struct pair *p, struct tls_peer *peer, struct side *s, struct far *f) {
    const struct connect_opts opts = {.tls = peer};
    s->flow = &one_byte;
    p->heard = (struct heard){0};
    assert_int_equal(stream_connect(p->net.loop, &s->stream, &side_ops, &p->net.at, &opts), REASON_NONE);
    far_init(f, net_peer(&p->net), p->far, true);
    int64_t end = loop_now(p->net.loop) + DEADLINE_USEC;
    while (s->connects + s->errors == 0 && loop_now(p->net.loop) < end) {
        loop_turn(p->net.loop, 1000);
        far_shake(f, 100);
    }
    return s->connects;
}

static void test_connect(void **state) {
    static const struct {
        const char *name, *words; /* NULL: it connects */
        bool believed, check;
    } rows[] = {
        {"near.example", NULL, true, true},
        {"127.0.0.1", NULL, true, true},
        {"far.example", "certificate verify failed: hostname mismatch", true, true},
        {"127.0.0.2", "certificate verify failed: IP address mismatch", true, true},
        {"far.example", NULL, true, false},
        {"near.example", "certificate verify failed: unable to get local issuer certificate", false, true},
    };
    struct pair p;
    pair_init_dial(&p);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct tls_opts opts = {.verify = TLS_VERIFY_REQUIRED, .check_name = rows[i].check, .steps = 1,
                                      .ca = rows[i].believed ? p.ca.certificate : p.other.certificate};
        struct tls_ctx *ctx = ctx_make(&opts, NULL);
        struct tls_peer *peer = tls_peer_new(ctx, rows[i].name, &p.heard);
        struct side s = {0};
        struct far far;
        assert_int_equal(dial(&p, peer, &s, &far), rows[i].words == NULL);
        assert_string_equal(p.heard.words, rows[i].words != NULL ? rows[i].words : "");
        assert_int_equal(s.why, rows[i].words != NULL ? REASON_TLS : REASON_NONE);
        bool is_name = rows[i].name[0] > '9';
        const char *sni = SSL_get_servername(far.ssl, TLSEXT_NAMETYPE_host_name);
        assert_true(is_name ? sni != NULL && strcmp(sni, rows[i].name) == 0 : sni == NULL);
        side_fini(&s);
        far_close(&far);
        tls_peer_unref(&peer);
        tls_ctx_unref(&ctx);
    }
    close(p.net.fd);
    pair_fini(&p);
}

/* The next connection to the same peer resumes the session of the one before, whichever version they speak. */
static void test_connect_resumes(void **state) {
    struct pair p;
    pair_init_dial(&p);
    SSL_CTX_set_session_id_context(p.far, (const uint8_t *)"far", 3);
    const struct tls_opts opts = {.verify = TLS_VERIFY_REQUIRED, .check_name = true, .ca = p.ca.certificate, .steps = 1};
    struct tls_ctx *ctx = ctx_make(&opts, NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_peer *peer = tls_peer_new(ctx, "near.example", &p.heard);
        SSL_CTX_set_max_proto_version(p.far, version);
        for (int i = 0; i < 3; i++) {
            struct side s = {0};
            struct far far;
            assert_int_equal(dial(&p, peer, &s, &far), 1);
            assert_int_equal(p.heard.n[TLS_RESUMED], i > 0);
            while (!far_shake(&far, SIZE_MAX)) {
                loop_turn(p.net.loop, 1000);
            }
            far_write(&far, "x", 1); /* who has seen it has seen the ticket, which in TLS 1.3 stands between it and the handshake */
            far_push(&far, SIZE_MAX);
            UNTIL(p.net.loop, s.seen == 1);
            side_fini(&s);
            far_close(&far);
        }
        tls_peer_unref(&peer);
    }
    tls_ctx_unref(&ctx);
    close(p.net.fd);
    pair_fini(&p);
}

/* ---- sessions of clients ---- */

static SSL_SESSION *latest;

static int on_session(SSL *ssl, SSL_SESSION *session) {
    SSL_SESSION_free(latest);
    latest = session;
    return 1;
}

static bool resumes(struct pair *p) {
    struct far far;
    struct side s = {0};
    uint8_t byte;
    pair_connect(p, &s, &none, &far);
    if (latest != NULL) {
        SSL_SESSION *copy = SSL_SESSION_dup(latest); /* else it is good but once */
        SSL_set_session(far.ssl, copy);
        SSL_SESSION_free(copy);
    }
    p->heard = (struct heard){0};
    SHAKE(p, &far, SIZE_MAX);
    int64_t end = loop_now(p->net.loop) + DEADLINE_USEC;
    while (latest == NULL && loop_now(p->net.loop) < end) { /* in TLS 1.3 it comes behind the handshake */
        far_read(&far, &byte, 1);
        turns(p, 1);
    }
    bool yes = SSL_session_reused(far.ssl) == 1;
    assert_int_equal(p->heard.n[TLS_RESUMED], yes);
    side_fini(&s);
    far_close(&far);
    return yes;
}

/* Workers have contexts of their own, and tickets are good for all of them; but not where anything that matters is different. */
static void test_tickets(void **state) {
    struct pair p;
    pair_init(&p, NULL);
    SSL_CTX_set_session_cache_mode(p.far, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(p.far, on_session);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_max_proto_version(p.far, version);
        assert_false(resumes(&p));
        assert_true(resumes(&p));
        struct tls_opts opts = pair_opts(&p);
        struct tls_ctx *twin = ctx_make(&opts, &p.heard);
        opts.scope = "another pool";
        struct tls_ctx *stranger = ctx_make(&opts, &p.heard);
        p.listener.tls = twin;
        assert_true(resumes(&p));
        p.listener.tls = stranger;
        assert_false(resumes(&p));
        p.listener.tls = p.near;
        tls_ctx_unref(&twin);
        tls_ctx_unref(&stranger);
        SSL_SESSION_free(latest);
        latest = NULL;
    }
    pair_fini(&p);
}

/* ---- the budget ---- */

/* Twenty clients begin at once, and one step is taken a turn: in every one of these turns the client that is there gets through,
 * and the new ones are served in the order in which they came. */
static void test_budget(void **state) {
    struct flow f = {0};
    struct pair p;
    struct far far, fars[20];
    struct side s = {0}, sides[20] = {0};
    for (int i = 0; i < 200; i++) {
        flow_add(&f, 10);
    }
    pair_init(&p, &(struct tls_opts){.steps = 1});
    pair_open(&p, &s, &f, &far);
    for (int i = 0; i < 20; i++) {
        pair_connect(&p, &sides[i], &none, &fars[i]);
        turns(&p, 1);
    }
    for (int i = 0; i < 20; i++) {
        SSL_do_handshake(fars[i].ssl);
        far_push(&fars[i], SIZE_MAX);
    }
    p.heard = (struct heard){0};
    for (int i = 0; i < 20; i++) {
        far_write(&far, f.bytes + s.taken, 14);
        far_push(&far, SIZE_MAX);
        size_t before = s.taken;
        struct pollfd arrived = {.fd = s.stream.fd, .events = POLLIN};
        assert_int_equal(poll(&arrived, 1, DEADLINE_USEC / 1000), 1);
        turns(&p, 1);
        assert_int_equal(s.taken, before + 14);
        assert_int_equal(p.heard.n[TLS_PUT_OFF], i < 19 ? i + 1 : 19);
        for (int k = 0; k < 20; k++) {
            char byte;
            assert_int_equal(recv(fars[k].fd, &byte, 1, MSG_PEEK), k <= i ? 1 : -1);
        }
    }
    for (int i = 0; i < 20; i++) {
        while (!far_shake(&fars[i], SIZE_MAX)) {
            turns(&p, 1);
        }
    }
    UNTIL(p.net.loop, p.heard.n[TLS_DONE] == 20);
    for (int i = 0; i < 20; i++) {
        side_fini(&sides[i]);
        far_close(&fars[i]);
    }
    pair_end(&p, &s, &far, &f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_client_certificate), cmocka_unit_test(test_broken_record),
        cmocka_unit_test(test_renegotiation), cmocka_unit_test(test_hup),                cmocka_unit_test(test_connect),
        cmocka_unit_test(test_connect_resumes), cmocka_unit_test(test_tickets),          cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
