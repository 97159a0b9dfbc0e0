// What every application here shares: node APP.js HOST PORT AUTH_PORT [MODULE]. One JSON line a check: {feature, check, result};
// test_clients.py runs the same application against a plain server and against kvmux, and compares.
'use strict';
const readline = require('node:readline');
const [host, port, authPort, moduleName] = process.argv.slice(2);
const LIMIT = 1000 * Number(process.env.CHECK_SECONDS || 4); // ms for one check

// Any reply as JSON: maps are objects, sets sorted arrays, bytes are hexadecimal.
function plain(v) {
  if (v === undefined) return null;
  if (Buffer.isBuffer(v)) return { hex: v.toString('hex') };
  if (typeof v === 'bigint') return String(v);
  if (v instanceof Error) return { error: v.message };
  if (v instanceof Map) return Object.fromEntries([...v].map(([k, x]) => [String(k), plain(x)]));
  if (v instanceof Set) return [...v].map(plain).sort();
  if (Array.isArray(v)) return v.map(plain);
  if (v && typeof v === 'object') return Object.fromEntries(Object.keys(v).map((k) => [k, plain(v[k])]));
  return v;
}

const say = (o) => process.stdout.write(JSON.stringify(o) + '\n');
const sorted = (a) => [...a].sort();

function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`no ${what} within ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Whether it ended well.
async function check(feature, name, f) {
  let result;
  try {
    result = plain(await within(LIMIT, (async () => f())(), 'end'));
  } catch (e) {
    result = { failed: String((e && e.message) || e) };
  }
  say({ feature, check: name, result });
  return !(result && result.failed);
}

// The words of the error that f must end with.
async function error(f) {
  try {
    return { answered: plain(await f()) };
  } catch (e) {
    return { error: String(e.message) };
  }
}

// Until f succeeds.
async function retry(f) {
  const end = Date.now() + LIMIT - 500;
  for (;;) {
    try {
      return await f();
    } catch (e) {
      if (Date.now() > end) throw e;
      await new Promise((go) => setTimeout(go, 10));
    }
  }
}

// A list that events are put into, and a wait for so many of them.
function collector() {
  const got = [];
  let wake = () => {};
  return {
    got,
    put: (...v) => { got.push(v.length === 1 ? v[0] : v); wake(); },
    async take(n, ms = LIMIT - 500) {
      const end = Date.now() + ms;
      while (got.length < n) {
        const left = end - Date.now();
        if (left <= 0) throw new Error(`got ${got.length} of ${n}: ${JSON.stringify(plain(got))}`);
        await Promise.race([new Promise((go) => { wake = go; }), new Promise((go) => { setTimeout(go, left); })]);
      }
      return got.splice(0, n);
    },
  };
}

// Asks the runner for something, e.g. "kill": all connections of the servers are closed when it answers.
let lines;
function ask(word) {
  lines = lines || readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  say({ ask: word });
  return lines.next();
}

// Keys that any hash puts on several servers.
const spread = (n, prefix) => Array.from({ length: n }, (_, i) => prefix + ((i * 2654435761) >>> 0).toString(16));

function run(main) {
  main().then(() => { say({ end: true }); process.exit(0); }, (e) => { console.error(e); process.exit(1); });
}

module.exports = { host, port: Number(port), authPort: Number(authPort), moduleName, check, error, retry, collector, ask, spread, sorted, plain, within, run };
