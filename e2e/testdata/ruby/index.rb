# Writes the index of the gems that the folder has, as JSON of paths and contents
# in base64: the compact index, and the one before it in Ruby's own format, which
# only Ruby can be trusted to write.
require "base64"
require "digest"
require "json"
require "rubygems/package"
require "stringio"
require "zlib"

def gzip(bytes)
  io = StringIO.new("".b)
  gz = Zlib::GzipWriter.new(io)
  gz.write(bytes)
  gz.close
  io.string
end

def info_line(spec, file)
  needs = spec.runtime_dependencies.map { |d| "#{d.name}:#{d.requirement.to_s.gsub(", ", "&")}" }.join(",")
  about = ["checksum:#{Digest::SHA256.file(file).hexdigest}"]
  about << "ruby:#{spec.required_ruby_version.to_s.gsub(", ", "&")}"
  "#{spec.version} #{needs}|#{about.join(",")}"
end

index = {}
specs = Dir[File.join(ARGV.fetch(0), "*.gem")].sort.map { |file| [Gem::Package.new(file).spec, file] }
specs.each do |spec, file|
  index["gems/#{spec.full_name}.gem"] = File.binread(file)
  index["quick/Marshal.4.8/#{spec.full_name}.gemspec.rz"] = Zlib::Deflate.deflate(Marshal.dump(spec))
end
tuples = specs.map { |spec, _| [spec.name, spec.version, spec.original_platform.to_s] }
index["specs.4.8.gz"] = index["latest_specs.4.8.gz"] = gzip(Marshal.dump(tuples))
index["prerelease_specs.4.8.gz"] = gzip(Marshal.dump([]))

versions = "created_at: 2026-01-01T00:00:00Z\n---\n"
specs.group_by { |spec, _| spec.name }.each do |name, all|
  index["info/#{name}"] = "---\n" + all.map { |spec, file| info_line(spec, file) }.join("\n") + "\n"
  versions << "#{name} #{all.map { |spec, _| spec.version }.join(",")} #{Digest::MD5.hexdigest(index["info/#{name}"])}\n"
end
index["versions"] = versions
puts JSON.generate(index.transform_values { |bytes| Base64.strict_encode64(bytes) })
