// Package rubygem reads gems: the archive ([Read]) and the specification in it
// ([ParseSpecification]), which is YAML with Ruby's tags (yaml.go). A push (formats/ruby)
// and an external registry (source/ruby) store the same [Gem]. The package knows no HTTP.
package rubygem
