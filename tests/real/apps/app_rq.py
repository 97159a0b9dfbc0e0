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

    def work():
        SimpleWorker([queue], connection=r).work(burst=True, logging_level="CRITICAL")

    def everything():
        """In one check: names of jobs are by chance, and of ten at least one has its keys on two servers."""
        jobs = [queue.enqueue(operator.add, i, i) for i in range(10)]
        work()
        got = [[j.result for j in jobs], queue.count, len(Worker.all(connection=r)), [q.name for q in Queue.all(connection=r)]]
        queue.enqueue(operator.truediv, 1, 0)
        work()
        queue.enqueue_in(timedelta(hours=1), operator.add, 1, 1)
        return got + [queue.failed_job_registry.count, queue.scheduled_job_registry.count]
    check("jobs", "enqueue, work, failures, schedule", lambda: error(everything), here=True)


run(main)
