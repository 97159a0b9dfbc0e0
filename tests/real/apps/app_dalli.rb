# dalli in its binary mode as an application uses it: app_dalli.rb HOST PORT AUTH_PORT. One JSON line a check, see clients.py.
require 'json'
require 'dalli'
require 'digest'
require 'timeout'

HOST, PORT = ARGV[0], ARGV[1].to_i
LIMIT = ENV.fetch('CHECK_SECONDS', '4').to_f # for one check
$stdout.sync = true
Dalli.logger.level = Logger::FATAL

def say(o) = puts(JSON.generate(o))

def check(feature, name)
  result = begin
    Timeout.timeout(LIMIT) { yield }
  rescue Exception => e # whatever it is, it is the result
    { failed: "#{e.class}: #{e.message}" }
  end
  say({ feature: feature, check: name, result: result })
end

def error
  { answered: yield }
rescue Dalli::DalliError, ArgumentError => e
  { error: e.message }
end

c = Dalli::Client.new("#{HOST}:#{PORT}", protocol: :binary, socket_timeout: LIMIT, expires_in: 1000)
keys = Array.new(60) { |i| "da:#{Digest::MD5.hexdigest(i.to_s)[0, 12]}" }
did = ->(v) { v ? true : v } # a cas is another on each server

check('connect', 'version') { c.version.values.map { |v| v.count('.') } }
check('get, set', 'set get delete') { [did.(c.set('a', '1')), c.get('a'), c.get('none'), c.delete('a'), c.delete('a'), c.get('a')] }
check('get, set', 'objects, odd keys') { [did.(c.set("a key \u00e9", { 'x' => [1, nil] })), c.get("a key \u00e9"), c.fetch('f') { 'made' }, c.fetch('f') { 'again' }] }
check('add, replace, append', 'all') do
  c.set('k', '0', nil, raw: true)
  [c.add('k', '2'), did.(c.replace('k', '3', nil, raw: true)), c.replace('none', '3'), c.append('k', '4'), c.prepend('k', '2'), c.get('k'), c.append('none', '4')]
end
check('cas', 'gets cas') do
  value, cas = c.get_cas('k')
  [value, did.(c.set_cas('k', 'mine', cas)), c.set_cas('k', 'late', cas), did.(c.cas('k') { |v| v + '!' }), c.get('k'), c.delete_cas('k', cas)]
end
check('counters', 'incr decr') { [c.incr('i', 5, nil, 10), c.incr('i', 5), c.decr('i', 100), c.incr('none', 1), error { c.incr('k', 1) }] }
check('touch', 'touch, gat') { [c.touch('k', 100), c.touch('none', 100), c.gat('k', 100), c.gat('none', 100)] }
check('many keys', 'multi') do
  c.multi { keys.each { |k| c.set(k, "v#{k}") } } # setq and a noop
  [c.get_multi(*keys, 'none').sort, c.get_multi_cas(*keys).size]
end
check('large values', '900 KB, too large') do
  big = Random.new(1).bytes(900_000)
  c.set('big', big, nil, raw: true)
  [c.get('big') == big, error { c.set('huge', Random.new(2).bytes(5 << 20), nil, raw: true) }, c.get('huge'), c.get('k')]
end
check('errors', 'keys') { [error { c.get('') }, did.(c.set('x' * 300, '1')), c.get('x' * 300)] }
check('stats, flush', 'stats flush') { [c.stats.values.first.key?('pid'), c.flush.size, c.get('k')] }
c.close
say({ end: true })
