/* adopt.c: connections that go from one program to another. */
#include "io/io_state.h"

#include <unistd.h>

int stream_detach(struct stream *s) {
    const unsigned busy = STREAM_EOF | STREAM_SHORT | STREAM_FAILED | STREAM_ERROR | STREAM_OVER | STREAM_MOVES | STREAM_HEADER;
    if (s->state != STREAM_OPEN || (s->flags & busy) || !stream_plain(s)) {
        return -1;
    }
    int fd = s->fd;
    proxied_end(s);
    backend_unwatch(s->loop->backend, fd); /* closing it would not do: the other program has it open */
    s->state = STREAM_CLOSED;
    s->flags = 0;
    s->fd = -1;
    list_remove(&s->ready);
    buf_unref(&s->tail);
    return fd;
}

void stream_adopt(struct loop *loop, int fd, struct stream *s, const struct stream_ops *ops, struct slice unread) {
    *s = (struct stream){.loop = loop, .ops = ops, .fd = fd, .state = STREAM_OPEN};
    if (unread.n > 0) {
        s->tail = buf_new(loop->pool, unread.n);
    }
    if (s->tail != NULL) {
        memcpy(s->tail->data, unread.p, unread.n);
        s->tail->len = (uint32_t)unread.n;
        s->flags = STREAM_SHOW;
        stream_left_over(s);
    }
    if (!backend_watch_stream(loop->backend, s) || (unread.n > 0 && s->tail == NULL)) {
        stream_owe_error(s, REASON_NO_MEMORY);
    }
}
