# A small application with dalli in its binary mode: ruby dalli_app.rb HOST PORT. Prints "ok N checks", exits 0.
require "dalli"

$checks = 0
def same(got, want)
  raise "got #{got.inspect}, want #{want.inspect}" unless got == want
  $checks += 1
end

# dalli says so in several ways
def no(got)
  raise "got #{got.inspect}" unless [nil, false, 0].include?(got)
  $checks += 1
end

c = Dalli::Client.new("#{ARGV[0]}:#{ARGV[1]}", protocol: :binary, socket_timeout: 20, expires_in: 1000)
c.set("d:a", "one")
same c.get("d:a"), "one"
same c.get("d:none"), nil
no c.add("d:a", "two")
no c.replace("d:none", "x")
c.replace("d:a", [1, { "two" => nil }])
same c.get("d:a"), [1, { "two" => nil }]
same c.incr("d:n", 5, nil, 10), 10
same c.incr("d:n", 5), 15
same c.decr("d:n", 3), 12
no c.incr("d:none", 1)
same c.touch("d:a", 100), true
no c.touch("d:none", 100)
same c.gat("d:a", 100), [1, { "two" => nil }]
c.set("d:raw", "2", nil, raw: true)
same c.append("d:raw", "3"), true
same c.prepend("d:raw", "1"), true
same c.get("d:raw"), "123"
c.set("d:a key \u00e9", "v")
same c.get("d:a key \u00e9"), "v"
keys = (0...300).map { |i| "d:many:#{(i * 2654435761) % 4294967296}" }
c.multi { keys.each { |k| c.set(k, "v#{k}") } } # setq, then noop
same c.get_multi(*keys, "d:none"), keys.to_h { |k| [k, "v#{k}"] } # getkq, then noop
value, cas = c.get_cas("d:raw")
same value, "123"
same c.set_cas("d:raw", "w", cas) != false, true
no c.set_cas("d:raw", "x", cas)
same c.cas("d:raw") { |v| v + "y" } != false, true
same c.get("d:raw"), "wy"
same c.delete("d:raw"), true
no c.delete("d:raw")
same c.fetch("d:f") { "made" }, "made"
same c.fetch("d:f") { "again" }, "made"
big = Random.new(1).bytes(900_000)
c.set("d:big", big, nil, raw: true)
same c.get("d:big"), big
same c.version.values.first.match?(/\A\d+\.\d+/), true
same c.stats.values.first.key?("pid"), true
c.flush
same c.get("d:f"), nil
c.close
puts "ok #{$checks} checks"
