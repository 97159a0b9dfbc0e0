"""Celery with Redis as broker and as result store, a worker in this process. All keys have one hash tag by the option
global_keyprefix, since Celery's transactions and its BRPOP use several. See checks.py."""
import logging
import os
import sys

from celery import Celery, chord, group
from celery.contrib.testing.worker import start_worker

from checks import HOST, LIMIT, PORT, ask, check, retry, run

logging.disable(logging.CRITICAL)
url = "redis://%s:%d/0" % (HOST, PORT)
prefix = {"global_keyprefix": "{celery}"}
app = Celery("app", broker=url, backend=url, set_as_current=True)
app.conf.update(broker_transport_options=dict(prefix, visibility_timeout=3600), result_backend_transport_options=prefix, worker_hijack_root_logger=False,
                worker_send_task_events=False)


@app.task(name="add")
def add(a, b):
    return a + b


@app.task(name="total")
def total(numbers):
    return sum(numbers)


@app.task(name="fail", bind=True, max_retries=2)
def fail(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.02)
    raise ValueError("after %d retries" % self.request.retries)


def wrong():
    try:
        return fail.delay().get(timeout=LIMIT, disable_sync_subtasks=False)
    except ValueError as e:
        return [str(e)]


def main():
    os.chdir("/")
    worker = start_worker(app, pool="solo", perform_ping_check=False, concurrency=1, loglevel="CRITICAL", shutdown_timeout=5)
    check("tasks", "worker starts", lambda: worker.__enter__() is not None)
    check("tasks", "results", lambda: [add.delay(i, i).get(timeout=LIMIT) for i in range(5)])
    check("tasks", "group", lambda: group(add.s(i, 1) for i in range(10))().get(timeout=LIMIT))
    check("tasks", "chain", lambda: (add.s(1, 2) | add.s(10))().get(timeout=LIMIT))
    check("tasks", "chord", lambda: chord([add.s(i, i) for i in range(4)])(total.s()).get(timeout=LIMIT))
    check("tasks", "countdown", lambda: add.apply_async((2, 2), countdown=0.05).get(timeout=LIMIT))
    check("tasks", "retries", wrong)
    check("tasks", "remote control", lambda: [list(a.values()) for a in app.control.ping(timeout=1)])
    ask("kill")
    check("reconnect", "tasks after the connections were lost", lambda: retry(lambda: add.delay(20, 1)).get(timeout=LIMIT - 1))


sys.argv[1:] = []
run(main)
