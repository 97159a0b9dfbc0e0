"""The text format of Prometheus, read strictly: what is wrong with it is an AssertionError."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
VALUE = r"[-+]?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|Inf)|NaN"
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"')
PLAIN = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


class Metrics:
    def __init__(self):
        self.types, self.helps, self.samples = {}, {}, {}

    def value(self, name, **labels):
        return self.samples[name][frozenset(labels.items())]

    def labels(self, name):
        return [dict(k) for k in self.samples[name]]


def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m and m.group(1) not in labels, text
        labels[m.group(1)] = re.sub(r"\\.", lambda x: PLAIN[x.group()], m.group(2))
        at = m.end()
        assert at == len(text) or text[at] == ",", text
        at += 1
    return frozenset(labels.items())


def parse_metrics(text):
    """HELP and TYPE once and before the samples, the samples of a metric together, no sample twice, a line end at the end."""
    assert text.endswith("\n") and not text.endswith("\n\n")
    out, current = Metrics(), None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current, help_text = re.fullmatch("# HELP (%s) (.+)" % NAME, line).groups()
            assert current not in out.helps, line
            assert not re.search(r"\\[^\\n]", help_text), line
            out.helps[current] = help_text
            out.samples[current] = {}
        elif line.startswith("#"):
            name, kind = re.fullmatch("# TYPE (%s) (counter|gauge|histogram)" % NAME, line).groups()
            assert name == current and name not in out.types and not out.samples[name], line
            out.types[name] = kind
        else:
            m = re.fullmatch(r"(%s)(?:\{(.*)\})? (%s)" % (NAME, VALUE), line)
            assert m, line
            labels = parse_labels(m.group(2) or "")
            base = re.sub("_(bucket|sum|count)$", "", m.group(1)) if out.types.get(current) == "histogram" else m.group(1)
            assert base == current and current in out.types, line
            series = out.samples.setdefault(m.group(1), {})
            assert labels not in series, line
            series[labels] = float(m.group(3))
    assert set(out.helps) == set(out.types)
    return out
