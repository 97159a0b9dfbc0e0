<?php
// phpredis as an application uses it: app_phpredis.php HOST PORT AUTH_PORT. One JSON line a check, see clients.py.
[, $host, $port, $authPort] = $argv;
$limit = (float)(getenv('CHECK_SECONDS') ?: 4); // seconds for one answer
ini_set('default_socket_timeout', (string)$limit);

function plain($v) {
    if (is_string($v) && !preg_match('//u', $v)) return ['hex' => bin2hex($v)];
    if (is_array($v)) return array_map('plain', $v);
    if (is_object($v)) return (array)$v;
    return $v;
}
function say($o) { echo json_encode($o, JSON_UNESCAPED_UNICODE), "\n"; }
function check($feature, $name, $f) {
    try {
        $result = plain($f());
    } catch (Throwable $e) {
        $result = ['failed' => $e->getMessage()];
    }
    say(['feature' => $feature, 'check' => $name, 'result' => $result]);
}
// phpredis says errors as false and getLastError, or as exceptions
function error($r, $f) {
    $r->clearLastError();
    try {
        $v = $f();
        return $r->getLastError() !== null ? ['error' => rtrim($r->getLastError(), "\0")] : ['answered' => plain($v)];
    } catch (RedisException $e) {
        return ['error' => $e->getMessage()];
    }
}
function retry($f) {
    $end = microtime(true) + $GLOBALS['limit'] - 0.5;
    for (;;) {
        try {
            $v = $f();
            if ($v !== false) return $v;
        } catch (RedisException $e) {
            if (microtime(true) > $end) throw $e;
        }
        if (microtime(true) > $end) return false;
        usleep(5000);
    }
}
function ask($word) { say(['ask' => $word]); fgets(STDIN); }
function spread($n, $prefix) { return array_map(fn ($i) => $prefix . substr(md5((string)$i), 0, 12), range(0, $n - 1)); }
function sorted($a) { sort($a); return $a; }
function open($host, $port) { $r = new Redis(); $r->connect($host, (int)$port, 4); return $r; }

// a second process that does f after the first is waiting: the pops of this one block it
function meanwhile($host, $port, $f) {
    $code = '$r = new Redis(); $r->connect($argv[1], (int)$argv[2], 4); ' . $f;
    return proc_open([PHP_BINARY, '-r', $code, '--', $host, $port], [], $pipes);
}

$r = open($host, $port);
check('connect', 'ping echo', fn () => [$r->ping(), $r->ping('hello'), $r->echo('ключ'), (new Redis())->pconnect($host, (int)$port)]);
check('strings', 'set get', fn () => [$r->set('s:a', '1'), $r->get('s:a'), $r->get('s:none')]);
check('strings', 'counters', fn () => [$r->incr('s:n'), $r->incrBy('s:n', 41), $r->decr('s:n'), $r->incrByFloat('s:n', 0.5)]);
check('strings', 'expiry', fn () => [$r->set('s:t', 'v', ['ex' => 1000]), $r->ttl('s:t'), $r->persist('s:t'), $r->ttl('s:t'), $r->ttl('s:none'), $r->setex('s:u', 50, 'v')]);
check('strings', 'set nx get', fn () => [$r->set('s:nx', '1', ['nx']), $r->set('s:nx', '2', ['nx']), $r->setnx('s:nx', '3'), $r->get('s:nx')]);
check('strings', 'bytes', fn () => [$r->set("\1\0\xff", "\0\xff\r\n\$\x80"), $r->get("\1\0\xff")]);
check('hashes', 'hset hgetall', fn () => [$r->hMSet('h', ['a' => 1, 'b' => 'zwei']), $r->hGetAll('h'), $r->hMGet('h', ['a', 'no']), $r->hGetAll('h:none')]);
check('hashes', 'more', fn () => [$r->hIncrBy('h', 'a', 5), sorted($r->hKeys('h')), $r->hExists('h', 'b'), $r->hDel('h', 'b'), $r->hLen('h')]);
check('hashes', 'hscan', function () use ($r) { $it = null; return $r->hScan('h', $it); });
check('lists', 'push range', fn () => [$r->rPush('l', 'a', 'b', 'c'), $r->lPush('l', 'z'), $r->lRange('l', 0, -1), $r->lPop('l'), $r->rPop('l'), $r->lLen('l')]);
check('sets', 'members', fn () => [$r->sAdd('t', 'x', 'y', 'z'), sorted($r->sMembers('t')), $r->sIsMember('t', 'x'), $r->sRem('t', 'x'), $r->sCard('t')]);
check('sorted sets', 'range', fn () => [$r->zAdd('z', 1, 'a', 2.5, 'b'), $r->zRange('z', 0, -1, true), $r->zScore('z', 'b'), $r->zIncrBy('z', 2, 'a'), $r->zRangeByScore('z', '2', '+inf'), $r->zRank('z', 'a'), $r->zPopMin('z')]);
check('streams', 'add range', fn () => [$r->xAdd('x', '1-1', ['f' => 'v']), $r->xAdd('x', '1-2', ['g' => 'w']), $r->xRange('x', '-', '+'), $r->xLen('x'), $r->xRead(['x' => '0'])]);
check('streams', 'groups', fn () => [$r->xGroup('CREATE', 'x', 'grp', '0'), $r->xReadGroup('grp', 'me', ['x' => '>'], 1), $r->xAck('x', 'grp', ['1-1']), $r->xPending('x', 'grp')]);

$keys = spread(60, 'm:');
check('multi-key', 'mset mget', fn () => [$r->mSet(array_combine($keys, $keys)), $r->mGet(array_merge($keys, ['m:none']))]);
check('multi-key', 'exists touch', fn () => [$r->exists($keys), $r->rawCommand('TOUCH', ...$keys)]);
check('multi-key', 'del unlink', fn () => [$r->del(array_slice($keys, 0, 20)), $r->unlink($keys), $r->dbSize() > 0]);
check('multi-key', 'set algebra', function () use ($r, $keys) {
    $sets = array_map(fn ($k) => "set$k", array_slice($keys, 0, 6));
    foreach ($sets as $k) $r->sAdd($k, 'all', $k);
    return [sorted($r->sUnion(...$sets)), $r->sInter(...$sets), $r->sDiff(...$sets)];
});
check('multi-key', 'tagged', fn () => [$r->sAdd('{g}a', '1', '2'), $r->sUnionStore('{g}c', '{g}a', '{g}b'), $r->rename('{g}c', '{g}d'), sorted($r->sMembers('{g}d'))]);
check('multi-key', 'msetnx of any keys', fn () => error($r, fn () => $r->mSetNx(array_combine(array_map(fn ($k) => "nx$k", array_slice($keys, 0, 8)), array_fill(0, 8, '1')))));
check('pipeline', 'results and errors', fn () => $r->pipeline()->set('p', '1')->lPush('p', 'x')->get('p')->mGet(['p', 'p:none'])->exec());
check('pipeline', '3000 at once', function () use ($r) {
    $p = $r->pipeline();
    for ($i = 0; $i < 3000; $i++) $i % 2 ? $p->set('c:' . $i % 300, (string)$i) : $p->get('p');
    $good = true;
    foreach ($p->exec() as $i => $v) $good = $good && $v === ($i % 2 ? true : '1');
    return $good;
});
check('transactions', 'multi exec', fn () => $r->multi()->set('{tx}a', '1')->incr('{tx}a')->mGet(['{tx}a', '{tx}b'])->exec());
check('transactions', 'error in the middle', fn () => $r->multi()->set('{tx}a', 'x')->lPush('{tx}a', 'y')->get('{tx}a')->exec());
check('transactions', 'discard', function () use ($r) { $r->multi()->set('{tx}a', 'no'); return [$r->discard(), $r->get('{tx}a')]; });
check('transactions', 'any keys', function () use ($host, $port) {
    $mine = open($host, $port);
    return error($mine, function () use ($mine) { $m = $mine->multi(); foreach (spread(8, 'tx:') as $k) $m->set($k, '1'); return $m->exec(); });
});
check('WATCH', 'changed by another', function () use ($r, $host, $port) {
    $r->watch('{w}a');
    open($host, $port)->set('{w}a', 'theirs');
    return [$r->multi()->set('{w}a', 'mine')->exec(), $r->get('{w}a')];
});
check('WATCH', 'counters of many clients', function () use ($r, $host, $port) {
    $work = 'for ($done = 0; $done < 20;) { $k = "{w" . $done % 3 . "}n"; $r->watch($k); $n = (int)$r->get($k); if ($r->multi()->set($k, $n + 1)->exec()) $done++; }';
    $children = array_map(fn () => meanwhile($host, $port, $work), range(1, 4));
    foreach ($children as $c) proc_close($c);
    return array_sum($r->mGet(['{w0}n', '{w1}n', '{w2}n']));
});
check('scripts', 'eval', fn () => $r->eval('return {KEYS[1], ARGV[1], redis.call("SET", KEYS[1], ARGV[1])}', ['e:k', 'v'], 1));
check('scripts', 'load and evalsha', function () use ($r) {
    $sha = $r->script('load', 'return "loaded" .. KEYS[1]');
    return [$sha, $r->evalSha($sha, ['e:1'], 1), $r->evalSha($sha, ['e:2'], 1), $r->script('exists', $sha, str_repeat('0', 40))];
});
check('scripts', 'unknown script', fn () => error($r, fn () => $r->evalSha(str_repeat('0', 40), ['k'], 1)));
check('scripts', 'error in the script', fn () => error($r, fn () => $r->eval('return redis.call("LPUSH", KEYS[1], 1)', ['e:k'], 1)));
check('scripts', 'any keys', fn () => error($r, fn () => $r->eval('return #KEYS', spread(8, 'e:'), 8)));
$listen = function ($way, $names, $send, $n) use ($host, $port) {
    $sub = open($host, $port);
    $got = [];
    $child = null;
    try {
        $child = meanwhile($host, $port, "for (\$i = 0; \$i < 300 && !\$r->publish('$send', 'hello'); \$i++) usleep(5000); for (\$i = 1; \$i < $n; \$i++) \$r->publish('$send', \"m\$i\");");
        $sub->$way($names, function (...$m) use (&$got, $n, $sub) {
            $got[] = array_slice($m, 1);
            if (count($got) === $n) $sub->close();
        });
    } catch (RedisException $e) {
        if (count($got) < $n) throw $e;
    } finally {
        if ($child) proc_close($child);
    }
    return $got;
};
check('pub/sub', 'messages in order', fn () => $listen('subscribe', ['news', 'sport'], 'news', 5));
check('patterns', 'messages', fn () => $listen('psubscribe', ['user.*'], 'user.1', 3));
check('pub/sub', 'receivers', fn () => $r->publish('nobody', 'x'));
check('blocking', 'pops', function () use ($r, $host, $port) {
    $child = meanwhile($host, $port, '$r->rPush("{q}2", "job"); $r->rPush("q:other", "job2");');
    $got = [$r->blPop(['{q}1', '{q}2'], 3), $r->brPop(['q:other'], 3)];
    proc_close($child);
    return $got;
});
check('blocking', 'moves', fn () => [$r->rPush('{q}a', 'x'), $r->brPopLPush('{q}a', '{q}b', 3), $r->zAdd('{q}z', 1, 'm'), $r->bzPopMin(['{q}z'], 3), $r->xRead(['x' => '$'], 1, 20)]);
check('blocking', 'nothing comes', fn () => $r->rawCommand('BLPOP', '{q}none', '0.05'));
check('blocking', 'any keys', fn () => error($r, fn () => $r->rawCommand('BLPOP', ...[...spread(8, 'q:'), '0.05'])));
check('blocking', 'still usable', fn () => [$r->set('q:k', 'v'), $r->get('q:k')]);
check('SCAN', 'scan and keys', function () use ($r) {
    $keys = spread(200, 'scan:');
    $r->mSet(array_fill_keys($keys, '1'));
    $r->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    $found = [];
    $it = null;
    while ($page = $r->scan($it, 'scan:*', 50)) foreach ($page as $k) $found[$k] = 1;
    return [count($found), count(array_diff($keys, array_keys($found))), count($r->keys('scan:*'))];
});
check('SELECT', 'own database', function () use ($r, $host, $port) {
    $other = open($host, $port);
    return [$other->select(3), $other->set('db:k', 'three'), $r->get('db:k'), $other->get('db:k'), $other->select(0), $other->get('db:k')];
});
check('SELECT', 'out of range', function () use ($host, $port) { $other = open($host, $port); return error($other, fn () => $other->select(99)); });
check('INFO, CLIENT', 'what an application reads', function () use ($r) {
    $info = $r->info();
    return [version_compare($info['redis_version'], '6', '>='), $info['loading'], $info['role'], $r->config('GET', 'maxmemory-policy'), $r->client('id') > 0, abs($r->time()[0] - time()) < 60];
});
check('INFO, CLIENT', 'names', function () use ($host, $port) {
    $named = open($host, $port);
    return [$named->client('setname', 'worker-1'), $named->client('getname'), in_array('worker-1', array_column($named->client('list'), 'name'))];
});
$auth = function ($with) use ($host, $authPort) {
    $a = open($host, $authPort);
    try {
        if ($with !== null) $a->auth($with);
        $got = [$a->set('auth:k', 'v'), $a->get('auth:k'), $a->rawCommand('ACL', 'WHOAMI')];
        return $a->getLastError() ?? $got;
    } catch (RedisException $e) {
        return $e->getMessage();
    }
};
check('sessions', 'of PHP itself', function () use ($host, $port) {
    $run = function ($code) use ($host, $port) {
        $all = "ini_set('session.save_handler', 'redis'); ini_set('session.save_path', 'tcp://$host:$port'); ini_set('redis.session.locking_enabled', '1'); session_id('abc'); session_start(); $code";
        return shell_exec(PHP_BINARY . ' -d session.use_cookies=0 -r ' . escapeshellarg($all) . ' 2>&1');
    };
    return [$run('$_SESSION["n"] = 1; session_write_close(); echo "begun";'), $run('echo $_SESSION["n"]++;'), $run('echo $_SESSION["n"]; session_destroy();'), $run('echo json_encode($_SESSION);')];
});
// the words are those of nutcracker where Redis' differ
check('AUTH', 'password', fn () => $auth('pw'));
check('AUTH', 'wrong password', fn () => is_array($auth('no')) ? 'let in' : 'refused');
check('AUTH', 'none', fn () => preg_match('/NOAUTH/', json_encode($auth(null))));
check('AUTH', 'user', fn () => $auth(['app', 'apw']));
check('large values', '3 MB', function () use ($r) {
    $big = str_repeat('x', 3 << 20);
    return [$r->set('big', $big), $r->get('big') === $big, $r->append('big', 'y'), $r->del('big')];
});
check('errors', 'of the server', fn () => [error($r, fn () => $r->lPush('s:a', 'x')), error($r, fn () => $r->rawCommand('NOSUCH', 'x')), error($r, fn () => $r->rawCommand('GET')), error($r, fn () => $r->rawCommand('HSET', 'h', 'x')), $r->get('s:a')]);
check('reconnect', 'after the connections were lost', function () use ($r) {
    $r->set('re:k', 'v');
    ask('kill');
    return [retry(fn () => $r->get('re:k')), retry(fn () => $r->mGet(['re:k', 're:none']))];
});
check('connect', 'close', fn () => $r->close());
say(['end' => true]);
