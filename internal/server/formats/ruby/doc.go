// Package ruby serves gem and Bundler below the endpoint of a repository. [Handler] is its
// [formats.Protocol].
//
//	GET    versions, info/{gem}, names             the compact index
//	GET    specs.4.8.gz, latest_specs.4.8.gz, prerelease_specs.4.8.gz
//	GET    quick/Marshal.4.8/{full name}.gemspec.rz
//	GET    api/v1/dependencies?gems={gem},{gem}    the dependency API
//	GET    gems/{full name}.gem                    a gem
//	POST   api/v1/gems                             push
//	DELETE api/v1/gems/yank                        yank
//
// A full name is {name}-{version}, or {name}-{version}-{platform} for a gem with compiled
// code. CodeArtifact serves the dependency API alone, from which gem 3.5.19 and newer
// cannot install. Bundler and newer versions of gem resolve by the compact index
// (compact.go). Every version of gem also reads files in Ruby's Marshal format, which
// marshal.go writes.
//
// A gem is an asset of its version: gems of several platforms are assets of one version.
// What its specification says is stored with the asset. It is YAML with Ruby's tags, in a
// tar (package rubygem), and says what the gem is called, so the
// bytes are staged before the package is known.
//
// A yanked version is Unlisted: indexes leave it out, and its gems can still be
// downloaded. The indexes have no mark for it. So Bundler, which looks locked versions up in
// them, does not find it, as after a yank at the public gem server.
package ruby
