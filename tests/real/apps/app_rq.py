"""RQ: jobs, a worker that does them here, a schedule. Its transactions use keys that have no tag in common. See checks.py."""
import logging
import operator
from datetime import timedelta

from redis import Redis
from rq import Queue, SimpleWorker, Worker

from checks import HOST, PORT, check, error, run

logging.disable(logging.CRITICAL)


def main():
    r = Redis(HOST, PORT)
    queue = Queue("mail", connection=r)
    jobs = []

    def work():
        SimpleWorker([queue], connection=r).work(burst=True, logging_level="CRITICAL")
    check("jobs", "enqueue", lambda: error(lambda: [jobs.append(queue.enqueue(operator.add, i, i)) for i in range(5)]))
    check("jobs", "worker and results", lambda: error(lambda: [work(), [j.result for j in jobs], queue.count, len(Worker.all(connection=r)), sorted(q.name for q in Queue.all(connection=r))]), here=True)
    check("jobs", "failures", lambda: error(lambda: [queue.enqueue(operator.truediv, 1, 0) and None, work(), queue.failed_job_registry.count]), here=True)
    check("jobs", "schedule", lambda: error(lambda: [queue.enqueue_in(timedelta(hours=1), operator.add, 1, 1) and None, queue.scheduled_job_registry.count]))


run(main)
