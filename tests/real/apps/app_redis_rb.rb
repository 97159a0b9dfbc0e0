# redis-rb as an application uses it: app_redis_rb.rb HOST PORT AUTH_PORT. One JSON line a check, see clients.py.
require 'json'
require 'redis'
require 'digest'
require 'timeout'

HOST, PORT, AUTH_PORT = ARGV[0], ARGV[1].to_i, ARGV[2].to_i
LIMIT = ENV.fetch('CHECK_SECONDS', '4').to_f # for one check
$stdout.sync = true

def plain(v)
  case v
  when String
    s = v.dup.force_encoding('UTF-8')
    s.valid_encoding? ? s : { hex: v.unpack1('H*') }
  when Hash then v.to_h { |k, x| [k.to_s, plain(x)] }
  when Array then v.map { |x| plain(x) }
  when Exception then { error: v.message }
  when Symbol then v.to_s
  else v
  end
end

def say(o) = puts(JSON.generate(o))

def check(feature, name)
  result = begin
    plain(Timeout.timeout(LIMIT) { yield })
  rescue Exception => e # whatever it is, it is the result
    { failed: "#{e.class}: #{e.message}" }
  end
  say({ feature: feature, check: name, result: result })
end

def error
  { answered: plain(yield) }
rescue Redis::BaseError => e
  { error: e.message }
end

def again
  finish = Time.now + LIMIT - 0.5
  begin
    yield
  rescue Redis::BaseError
    raise if Time.now > finish
    sleep 0.005
    retry
  end
end

def ask(word)
  say({ ask: word })
  $stdin.gets
end

def spread(n, prefix) = Array.new(n) { |i| prefix + Digest::MD5.hexdigest(i.to_s)[0, 12] }
def open(**more) = Redis.new(host: HOST, port: PORT, **more)

# f waits in a thread; its result after the block was done
def later(f)
  t = Thread.new { f.call }
  yield
  t.join(3) ? t.value : 'nothing came'
end

r = open
check('connect', 'ping echo') { [r.ping, r.ping('hello'), r.echo('ключ'), Redis.new(url: "redis://#{HOST}:#{PORT}/0").ping] }
check('strings', 'set get') { [r.set('s:a', 1), r.get('s:a'), r.get('s:none')] }
check('strings', 'counters') { [r.incr('s:n'), r.incrby('s:n', 41), r.decr('s:n'), r.incrbyfloat('s:n', 0.5)] }
check('strings', 'expiry') { [r.set('s:t', 'v', ex: 1000), r.ttl('s:t'), r.persist('s:t'), r.ttl('s:t'), r.ttl('s:none')] }
check('strings', 'set nx get') { [r.set('s:nx', 1, nx: true), r.set('s:nx', 2, nx: true), r.getdel('s:nx'), r.get('s:nx')] }
check('strings', 'bytes') { [r.set("\x01\x00\xFF".b, "\x00\xFF\r\n$\x80".b), r.get("\x01\x00\xFF".b)] }
check('hashes', 'hset hgetall') { [r.hset('h', { 'a' => 1, 'b' => 'zwei' }), r.hgetall('h'), r.hmget('h', 'a', 'no'), r.hgetall('h:none')] }
check('hashes', 'more') { [r.hincrby('h', 'a', 5), r.hkeys('h').sort, r.hexists('h', 'b'), r.hdel('h', 'b'), r.hlen('h')] }
check('hashes', 'hscan') { r.hscan_each('h').to_a }
check('lists', 'push range') { [r.rpush('l', %w[a b c]), r.lpush('l', 'z'), r.lrange('l', 0, -1), r.lpop('l'), r.rpop('l', 2), r.llen('l')] }
check('sets', 'members') { [r.sadd('t', %w[x y z]), r.smembers('t').sort, r.sismember('t', 'x'), r.srem('t', 'x'), r.scard('t')] }
check('sorted sets', 'range') { [r.zadd('z', [[1, 'a'], [2.5, 'b']]), r.zrange('z', 0, -1, with_scores: true), r.zscore('z', 'b'), r.zincrby('z', 2, 'a'), r.zrangebyscore('z', 2, '+inf'), r.zrank('z', 'a'), r.zpopmin('z')] }
check('streams', 'add range') { [r.xadd('x', { f: 'v' }, id: '1-1'), r.xadd('x', { g: 'w' }, id: '1-2'), r.xrange('x', '-', '+'), r.xlen('x'), r.xread('x', '0')] }
check('streams', 'groups') { [r.xgroup(:create, 'x', 'grp', '0'), r.xreadgroup('grp', 'me', 'x', '>', count: 1), r.xack('x', 'grp', '1-1'), r.xpending('x', 'grp')] }

keys = spread(60, 'm:')
check('multi-key', 'mset mget') { [r.mapped_mset(keys.to_h { |k| [k, "v#{k}"] }), r.mget(*keys, 'm:none')] }
check('multi-key', 'exists') { [r.exists(*keys, 'm:none'), r.call([:touch, *keys])] }
check('multi-key', 'del unlink') { [r.del(*keys[0, 20]), r.unlink(*keys), r.dbsize.positive?] }
check('multi-key', 'set algebra') do
  sets = keys[0, 6].map { |k| "set#{k}" }
  sets.each { |k| r.sadd(k, ['all', k]) }
  [r.sunion(*sets).sort, r.sinter(*sets), r.sdiff(*sets)]
end
check('multi-key', 'tagged') { [r.sadd('{g}a', [1, 2]), r.sunionstore('{g}c', '{g}a', '{g}b'), r.rename('{g}c', '{g}d'), r.smembers('{g}d').sort] }
check('multi-key', 'msetnx of any keys') { error { r.msetnx(*keys[0, 8].flat_map { |k| ["nx#{k}", '1'] }) } }
check('pipeline', 'results') { r.pipelined { |p| p.set('p', 1); p.incr('p'); p.get('p'); p.mget('p', 'p:none') } }
check('pipeline', 'an error') { error { r.pipelined { |p| p.set('p', 1); p.lpush('p', 'x'); p.get('p') } } }
check('pipeline', '3000 at once') do
  got = r.pipelined { |p| 3000.times { |i| i.odd? ? p.set("c:#{i % 300}", i) : p.get('p') } }
  got.each_with_index.all? { |v, i| v == (i.odd? ? 'OK' : '1') }
end
check('transactions', 'multi exec') { r.multi { |m| m.set('{tx}a', 1); m.incr('{tx}a'); m.mget('{tx}a', '{tx}b') } }
check('transactions', 'error in the middle') { [error { r.multi { |m| m.set('{tx}a', 'x'); m.lpush('{tx}a', 'y') } }, r.get('{tx}a')] }
check('transactions', 'any keys') { error { r.multi { |m| spread(8, 'tx:').each { |k| m.set(k, 1) } } } }
check('WATCH', 'changed by another') do
  got = r.watch('{w}a') { open.set('{w}a', 'theirs'); r.multi { |m| m.set('{w}a', 'mine') } }
  [got, r.get('{w}a')]
end
check('WATCH', 'counters of many clients') do
  Array.new(8) do |i|
    Thread.new do
      mine = open
      done = 0
      while done < 10
        key = "{w#{(i + done) % 3}}n"
        done += 1 if mine.watch(key) { n = mine.get(key).to_i; mine.multi { |m| m.set(key, n + 1) } }
      end
    end
  end.each(&:join)
  r.mget('{w0}n', '{w1}n', '{w2}n').sum(&:to_i)
end
check('scripts', 'eval') { r.eval('return {KEYS[1], ARGV[1], redis.call("SET", KEYS[1], ARGV[1])}', ['e:k'], ['v']) }
check('scripts', 'load and evalsha') do
  sha = r.script(:load, 'return "loaded" .. KEYS[1]')
  [sha, r.evalsha(sha, ['e:1']), r.evalsha(sha, ['e:2']), r.script(:exists, [sha, '0' * 40])]
end
check('scripts', 'unknown script') { error { r.evalsha('0' * 40, ['k']) } }
check('scripts', 'error in the script') { error { r.eval('return redis.call("LPUSH", KEYS[1], 1)', ['e:k']) } }
check('scripts', 'any keys') { error { r.eval('return #KEYS', spread(8, 'e:')) } }

# subscribes, publishes when that is confirmed, collects n messages
def listen(r, way, names, n)
  got = []
  sub = open
  sub.public_send(way, *names) do |on|
    ready = proc { |name, count| yield if count == names.size }
    on.subscribe(&ready)
    on.psubscribe(&ready)
    each = proc { |*m| got << m; sub.public_send(way == :subscribe ? :unsubscribe : :punsubscribe) if got.size == n }
    on.message(&each)
    on.pmessage(&each)
  end
  got << sub.set('ps:a', 1)
end
check('pub/sub', 'messages in order') { listen(r, :subscribe, %w[news sport], 5) { 5.times { |i| r.publish('news', "m#{i}") } } }
check('patterns', 'messages') { listen(r, :psubscribe, %w[user.*], 2) { r.publish('user.1', 'a'); r.publish('user.22', 'b') } }
check('pub/sub', 'receivers') { listen(r, :subscribe, %w[count], 1) { $count = r.publish('count', 'x') } << $count }

b = open
check('blocking', 'pops') { [later(-> { b.blpop('{q}1', '{q}2', timeout: 3) }) { r.rpush('{q}2', 'job') }, later(-> { b.brpop('q:other', timeout: 0) }) { r.rpush('q:other', 'job2') }] }
check('blocking', 'moves') { [later(-> { b.blmove('{q}a', '{q}b', 'LEFT', 'RIGHT', timeout: 3) }) { r.rpush('{q}a', 'x') }, later(-> { b.brpoplpush('{q}a', '{q}b', timeout: 3) }) { r.rpush('{q}a', 'y') }, r.lrange('{q}b', 0, -1)] }
check('blocking', 'sorted sets') { later(-> { b.bzpopmin('{q}z', timeout: 3) }) { r.zadd('{q}z', 1, 'm') } }
check('blocking', 'streams') { later(-> { b.xread('{q}x', '0', block: 3000) }) { r.xadd('{q}x', { f: 'v' }, id: '5-1') } }
check('blocking', 'nothing comes') { b.call([:blpop, '{q}none', 0.05]) }
check('blocking', 'any keys') { error { b.call([:blpop, *spread(8, 'q:'), 0.05]) } }
check('blocking', 'any of many queues') { spread(8, 'q:').map { |k| later(-> { b.brpop(*spread(8, 'q:'), timeout: 2) }) { r.lpush(k, 'job') } } }
check('blocking', 'still usable') { [b.set('q:k', 'v'), b.get('q:k')] }
check('SCAN', 'each') do
  keys = spread(200, 'scan:')
  r.mset(*keys.flat_map { |k| [k, 1] })
  found = r.scan_each(match: 'scan:*', count: 50).to_a.uniq
  [found.size, (keys - found).size, r.keys('scan:*').size]
end
check('SELECT', 'own database') { other = open(db: 3); [other.set('db:k', 'three'), r.get('db:k'), other.get('db:k'), other.select(0), other.get('db:k')] }
check('SELECT', 'out of range') { error { open.select(99) } }
check('INFO, CLIENT', 'what an application reads') { i = r.info; [i['redis_version'] > '6', i['loading'], i['role'], r.config(:get, 'maxmemory-policy'), (r.time[0] - Time.now.to_i).abs < 60] }
check('INFO, CLIENT', 'names') { named = open(id: 'worker-1'); named.client(:setname, 'worker-1'); [named.client(:getname), named.client(:list).any? { |c| c['name'] == 'worker-1' }] }

def auth(**more)
  a = Redis.new(host: HOST, port: AUTH_PORT, **more)
  [a.set('auth:k', 'v'), a.get('auth:k'), a.call(%i[acl whoami])]
rescue Redis::BaseError => e
  e.message
end
# the words are those of nutcracker where Redis' differ
check('AUTH', 'password') { auth(password: 'pw') }
check('AUTH', 'wrong password') { auth(password: 'no').to_s.match?(/WRONGPASS|invalid password/) }
check('AUTH', 'none') { auth.to_s.include?('NOAUTH') }
check('AUTH', 'user') { auth(username: 'app', password: 'apw') }
check('large values', '3 MB') { big = 'x' * (3 << 20); [r.set('big', big), r.get('big') == big, r.append('big', 'y'), r.del('big')] }
check('errors', 'of the server') { [error { r.lpush('s:a', 'x') }, error { r.call(%w[NOSUCH x]) }, error { r.call(%w[GET]) }, error { r.call(%w[HSET h x]) }, r.get('s:a')] }
check('reconnect', 'after the connections were lost') { r.set('re:k', 'v'); ask('kill'); [again { r.get('re:k') }, again { r.mget('re:k', 're:none') }] }
check('connect', 'quit') { r.quit }
say({ end: true })
exit! 0
