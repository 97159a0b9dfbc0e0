# Perl's Redis as an application uses it: app_redis_pl.pl HOST PORT AUTH_PORT. One JSON line a check, see clients.py.
use strict;
use warnings;
use utf8;
use Digest::MD5 qw(md5_hex);
use JSON::PP;
use POSIX ();
use Redis;

my ($host, $port, $auth_port) = @ARGV;
my $limit = $ENV{CHECK_SECONDS} || 4; # for one check
my $json = JSON::PP->new->canonical->allow_nonref;
$| = 1;

sub say_line { print $json->encode($_[0]), "\n" }

# Strings as JSON::PP would write numbers that were used as such: all are strings here; bytes are hexadecimal.
sub plain {
    my ($v) = @_;
    return undef if !defined $v;
    return [map { plain($_) } @$v] if ref $v eq 'ARRAY';
    return {map { $_ => plain($v->{$_}) } keys %$v} if ref $v eq 'HASH';
    return $v if ref $v;
    return {hex => unpack('H*', $v)} if $v =~ /[^\x20-\x7e]/;
    return "$v";
}

sub check {
    my ($feature, $name, $f) = @_;
    my $result = eval {
        local $SIG{ALRM} = sub { die "no end in time\n" };
        alarm $limit;
        my $v = plain([$f->()]);
        alarm 0;
        $v;
    };
    $result = {failed => "$@"} if !defined $result;
    alarm 0;
    say_line({feature => $feature, check => $name, result => $result});
}

# The words of the error; what the module adds (place and command) is cut off.
sub error {
    my ($f) = @_;
    my @v = eval { $f->() };
    return {answered => \@v} if !$@;
    my $text = "$@";
    $text =~ s/^\[[^\]]*\] //;
    $text =~ s/,? at .* line \d+.*//s;
    return {error => $text};
}

sub again {
    my ($f) = @_;
    my $end = time + $limit - 1;
    while (1) {
        my @v = eval { $f->() };
        return wantarray ? @v : $v[0] if !$@;
        die $@ if time > $end;
        select undef, undef, undef, 0.005;
    }
}

sub ask { say_line({ask => $_[0]}); my $line = <STDIN> }
sub spread { my ($n, $prefix) = @_; map { $prefix . substr md5_hex($_), 0, 12 } 0 .. $n - 1 }
sub client { Redis->new(server => "$host:$port", @_) }
sub pairs { my ($value, @keys) = @_; map { ($_, $value) } @keys }

# another process does f
sub meanwhile {
    my ($f) = @_;
    my $pid = fork;
    return $pid if $pid;
    eval { $f->(client()) };
    POSIX::_exit($@ ? 1 : 0);
}

my $r = client(reconnect => 2, every => 5_000);
check('connect', 'ping echo', sub { $r->ping, $r->echo('hello') });
check('strings', 'set get', sub { $r->set('s:a', 1), $r->get('s:a'), scalar $r->get('s:none') });
check('strings', 'counters', sub { $r->incr('s:n'), $r->incrby('s:n', 41), $r->decr('s:n'), $r->incrbyfloat('s:n', 0.5) });
check('strings', 'expiry', sub { $r->set('s:t', 'v', 'EX', 1000), $r->ttl('s:t'), $r->persist('s:t'), $r->ttl('s:t'), $r->ttl('s:none') });
check('strings', 'set nx get', sub { $r->set('s:nx', 1, 'NX'), scalar $r->set('s:nx', 2, 'NX'), $r->getdel('s:nx'), scalar $r->get('s:nx') });
check('strings', 'bytes', sub { $r->set("\1\0\xff", "\0\xff\r\n\$\x80"), $r->get("\1\0\xff") });
check('hashes', 'hset hgetall', sub { $r->hset('h', 'a', 1, 'b', 'zwei'), {$r->hgetall('h')}, [$r->hmget('h', 'a', 'no')], [$r->hgetall('h:none')] });
check('hashes', 'more', sub { $r->hincrby('h', 'a', 5), [sort $r->hkeys('h')], $r->hexists('h', 'b'), $r->hdel('h', 'b'), $r->hlen('h') });
check('hashes', 'hscan', sub { $r->hscan('h', 0) });
check('lists', 'push range', sub { $r->rpush('l', 'a', 'b', 'c'), $r->lpush('l', 'z'), [$r->lrange('l', 0, -1)], $r->lpop('l'), $r->rpop('l'), $r->llen('l') });
check('sets', 'members', sub { $r->sadd('t', 'x', 'y', 'z'), [sort $r->smembers('t')], $r->sismember('t', 'x'), $r->srem('t', 'x'), $r->scard('t') });
check('sorted sets', 'range', sub { $r->zadd('z', 1, 'a', 2.5, 'b'), [$r->zrange('z', 0, -1, 'WITHSCORES')], $r->zscore('z', 'b'), $r->zincrby('z', 2, 'a'), [$r->zpopmin('z')] });
check('streams', 'add range', sub { $r->xadd('x', '1-1', 'f', 'v'), [$r->xrange('x', '-', '+')], $r->xlen('x'), [$r->xread('STREAMS', 'x', '0')] });

my @keys = spread(60, 'm:');
check('multi-key', 'mset mget', sub { $r->mset(pairs('v', @keys)), [$r->mget(@keys, 'm:none')] });
check('multi-key', 'exists touch', sub { $r->exists(@keys), $r->touch(@keys) });
check('multi-key', 'del unlink', sub { $r->del(@keys[0 .. 19]), $r->unlink(@keys), $r->dbsize > 0 });
check('multi-key', 'set algebra', sub { my @s = map {"set$_"} @keys[0 .. 5]; $r->sadd($_, 'all', $_) for @s; [sort $r->sunion(@s)], [$r->sinter(@s)], [$r->sdiff(@s)] });
check('multi-key', 'tagged', sub { $r->sadd('{g}a', 1, 2), $r->sunionstore('{g}c', '{g}a', '{g}b'), $r->rename('{g}c', '{g}d'), [sort $r->smembers('{g}d')] });
check('multi-key', 'msetnx of any keys', sub { error(sub { $r->msetnx(pairs(1, map {"nx$_"} @keys[0 .. 7])) }) });
check('pipeline', 'results and errors', sub {
    my @got;
    $r->set('p', 1, sub { push @got, [@_] });
    $r->lpush('p', 'x', sub { push @got, [@_] });
    $r->get('p', sub { push @got, [@_] });
    $r->mget('p', 'p:none', sub { push @got, [@_] });
    $r->wait_all_responses;
    @got;
});
check('pipeline', '3000 at once', sub {
    my ($good, $n) = (0, 3000);
    for my $i (0 .. $n - 1) {
        if ($i % 2) { $r->set('c:' . $i % 300, $i, sub { $good++ if $_[0] eq 'OK' }) }
        else { $r->get('p', sub { $good++ if $_[0] eq '1' }) }
    }
    $r->wait_all_responses;
    $good;
});
check('transactions', 'multi exec', sub { $r->multi, $r->set('{tx}a', 1), $r->incr('{tx}a'), [$r->exec] });
check('transactions', 'discard', sub { $r->multi, $r->set('{tx}a', 'no'), $r->discard, $r->get('{tx}a') });
check('transactions', 'any keys', sub { my $m = client(); error(sub { $m->multi; $m->set($_, 1) for spread(8, 'tx:'); $m->exec }) });
check('WATCH', 'changed by another', sub { $r->watch('{w}a'); client()->set('{w}a', 'theirs'); $r->multi; $r->set('{w}a', 'mine'); [$r->exec], $r->get('{w}a') });
check('WATCH', 'counters of many clients', sub {
    my @children = map {
        meanwhile(sub {
            my ($mine) = @_;
            for (my $done = 0; $done < 20;) {
                my $key = '{w' . $done % 3 . '}n';
                $mine->watch($key);
                my $n = $mine->get($key) || 0;
                $mine->multi;
                $mine->set($key, $n + 1);
                my @got = $mine->exec;
                $done++ if defined $got[0];
            }
        })
    } 1 .. 4;
    my $bad = 0;
    for (@children) { waitpid $_, 0; $bad++ if $? }
    my $sum = 0;
    $sum += $_ || 0 for $r->mget('{w0}n', '{w1}n', '{w2}n');
    $sum, $bad;
});
check('scripts', 'eval', sub { $r->eval('return {KEYS[1], ARGV[1], redis.call("SET", KEYS[1], ARGV[1])}', 1, 'e:k', 'v') });
check('scripts', 'load and evalsha', sub { my ($sha) = $r->script_load('return "loaded" .. KEYS[1]'); $sha, $r->evalsha($sha, 1, 'e:1'), $r->evalsha($sha, 1, 'e:2'), [$r->script_exists($sha, '0' x 40)] });
check('scripts', 'unknown script', sub { error(sub { $r->evalsha('0' x 40, 1, 'k') }) });
check('scripts', 'any keys', sub { error(sub { $r->eval('return #KEYS', 8, spread(8, 'e:')) }) });

sub hear_all {
    my ($way, $name, $send, $n) = @_;
    my $sub = client();
    my (@got, $child);
    my $hear = sub { push @got, [@_] };
    $way eq 'psubscribe' ? $sub->psubscribe($name, $hear) : $sub->subscribe($name, $hear);
    $child = meanwhile(sub { my ($p) = @_; $p->publish($send, "m$_") for 1 .. $n });
    my $end = time + $limit - 1;
    $sub->wait_for_messages(0.1) while @got < $n && time < $end;
    waitpid $child, 0;
    $way eq 'psubscribe' ? $sub->punsubscribe($name, $hear) : $sub->unsubscribe($name, $hear);
    return \@got, $sub->ping;
}
check('pub/sub', 'messages in order', sub { hear_all('subscribe', 'news', 'news', 5) });
check('patterns', 'messages', sub { hear_all('psubscribe', 'user.*', 'user.1', 3) });
check('pub/sub', 'receivers', sub { $r->publish('nobody', 'x') });
check('blocking', 'pops', sub {
    my $child = meanwhile(sub { $_[0]->rpush('{q}2', 'job'); $_[0]->rpush('q:other', 'job2') });
    my @got = ([$r->blpop('{q}1', '{q}2', 3)], [$r->brpop('q:other', 3)]);
    waitpid $child, 0;
    @got;
});
check('blocking', 'moves', sub { $r->rpush('{q}a', 'x'), $r->brpoplpush('{q}a', '{q}b', 3), $r->zadd('{q}z', 1, 'm'), $r->bzpopmin('{q}z', 3) });
check('blocking', 'nothing comes', sub { [$r->blpop('{q}none', 0.05)] });
check('blocking', 'any keys', sub { error(sub { $r->blpop(spread(8, 'q:'), 0.05) }) });
check('SCAN', 'scan and keys', sub {
    my @k = spread(200, 'scan:');
    $r->mset(pairs(1, @k));
    my ($cursor, %found) = (0);
    do { ($cursor, my $page) = $r->scan($cursor, 'MATCH', 'scan:*', 'COUNT', 50); $found{$_} = 1 for @$page } while $cursor;
    scalar(keys %found), scalar(grep { !$found{$_} } @k), scalar(() = $r->keys('scan:*'));
});
check('SELECT', 'own database', sub { my $o = client(); $o->select(3), $o->set('db:k', 'three'), scalar $r->get('db:k'), $o->get('db:k'), $o->select(0), scalar $o->get('db:k') });
check('SELECT', 'out of range', sub { my $o = client(); error(sub { $o->select(99) }) });
check('INFO, CLIENT', 'what an application reads', sub { my $i = $r->info; $i->{redis_version} =~ /^\d+\.\d+\.\d+$/ ? 1 : 0, $i->{loading}, $i->{role}, [$r->config_get('maxmemory-policy')], abs(($r->time)[0] - time) < 60 ? 1 : 0 });
check('INFO, CLIENT', 'names', sub { my $n = client(name => 'worker-1'); $n->client_getname, $n->client_list =~ /name=worker-1/ ? 1 : 0 });

sub auth {
    my @got = eval { my $a = Redis->new(server => "$host:$auth_port", @_); ($a->set('auth:k', 'v'), $a->get('auth:k'), $a->acl('WHOAMI')) };
    return $@ ? "$@" : \@got;
}
# the words are those of nutcracker where Redis' differ
check('AUTH', 'password', sub { auth(password => 'pw') });
check('AUTH', 'wrong password', sub { auth(password => 'no') =~ /WRONGPASS|invalid password|AUTH|auth/ ? 'refused' : 'let in' });
check('AUTH', 'none', sub { auth() =~ /NOAUTH/ ? 'refused' : 'let in' });
check('AUTH', 'user', sub { auth(username => 'app', password => 'apw') });
check('large values', '3 MB', sub { my $big = 'x' x (3 << 20); $r->set('big', $big), $r->get('big') eq $big ? 'same' : 'other', $r->append('big', 'y'), $r->del('big') });
check('errors', 'of the server', sub { error(sub { $r->lpush('s:a', 'x') }), error(sub { $r->nosuch('x') }), error(sub { $r->get }), error(sub { $r->hset('h', 'x') }), $r->get('s:a') });
check('reconnect', 'after the connections were lost', sub { $r->set('re:k', 'v'); ask('kill'); again(sub { $r->get('re:k') }), again(sub { $r->mget('re:k', 're:none') }) });
check('connect', 'quit', sub { $r->quit ? 1 : 0 });
say_line({end => JSON::PP::true});
