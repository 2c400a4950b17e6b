package ruby

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
)

// A marshaller writes Ruby's Marshal format 4.8 (Ruby's doc/marshal.rdoc): what gem reads
// of an index older than the compact one. It writes only what RubyGems permits to be
// loaded. Strings are UTF-8. Symbols that were written before are referred to; objects
// never are, which readers accept.
type marshaller struct {
	out     bytes.Buffer
	symbols map[string]int
}

func newMarshaller() *marshaller {
	m := &marshaller{symbols: map[string]int{}}
	m.out.WriteString("\x04\x08")
	return m
}

// integer writes a number or a length: small ones in one byte, others as the count of
// their bytes and then these, the least significant first.
func (m *marshaller) integer(n int) {
	switch {
	case n == 0:
		m.out.WriteByte(0)
	case n > 0 && n < 123:
		m.out.WriteByte(byte(n + 5))
	default: // there are no negative ones here
		b := binary.LittleEndian.AppendUint32(nil, uint32(n))
		for len(b) > 1 && b[len(b)-1] == 0 {
			b = b[:len(b)-1]
		}
		m.out.WriteByte(byte(len(b)))
		m.out.Write(b)
	}
}

func (m *marshaller) bytes(s string) {
	m.integer(len(s))
	m.out.WriteString(s)
}

func (m *marshaller) symbol(s string) {
	if i, ok := m.symbols[s]; ok {
		m.out.WriteByte(';')
		m.integer(i)
		return
	}
	m.symbols[s] = len(m.symbols)
	m.out.WriteByte(':')
	m.bytes(s)
}

// text writes a string with its encoding, UTF-8.
func (m *marshaller) text(s string) {
	m.out.WriteString(`I"`)
	m.bytes(s)
	m.integer(1)
	m.symbol("E")
	m.out.WriteByte('T')
}

func (m *marshaller) texts(all []string) {
	m.array(len(all))
	for _, s := range all {
		m.text(s)
	}
}

func (m *marshaller) array(n int) {
	m.out.WriteByte('[')
	m.integer(n)
}

func (m *marshaller) hash(n int) {
	m.out.WriteByte('{')
	m.integer(n)
}

func (m *marshaller) fixnum(n int) {
	m.out.WriteByte('i')
	m.integer(n)
}

func (m *marshaller) null() { m.out.WriteByte('0') }

func (m *marshaller) boolean(b bool) {
	if b {
		m.out.WriteByte('T')
	} else {
		m.out.WriteByte('F')
	}
}

// version writes a Gem::Version, which marshals itself as an array of its text.
func (m *marshaller) version(v string) {
	m.out.WriteByte('U')
	m.symbol("Gem::Version")
	m.array(1)
	m.text(v)
}

func (m *marshaller) requirement(r rubygem.Requirement) {
	m.out.WriteByte('U')
	m.symbol("Gem::Requirement")
	m.array(1)
	r = r.OrAny()
	m.array(len(r))
	for _, c := range r {
		m.array(2)
		m.text(c[0])
		m.version(c[1])
	}
}

func (m *marshaller) dependency(d rubygem.Dependency) {
	m.out.WriteByte('o')
	m.symbol("Gem::Dependency")
	m.integer(5)
	m.symbol("@name")
	m.text(d.Name)
	m.symbol("@requirement")
	m.requirement(d.Requirement)
	m.symbol("@type")
	if d.Development {
		m.symbol("development")
	} else {
		m.symbol("runtime")
	}
	m.symbol("@prerelease")
	m.boolean(false)
	m.symbol("@version_requirements")
	m.requirement(d.Requirement)
}

// The fields of Gem::Specification#_dump that follow from nothing in a gem.
const (
	specificationVersion = 4
	defaultRubyGems      = "3.3.15" // of a gem that does not name the RubyGems that made it
)

// specification writes a gem's specification as Gem::Specification#_dump does: the fields
// that a client needs to choose and to resolve, without the list of files.
func (m *marshaller) specification(g *rubygem.Gem) {
	inner := newMarshaller()
	inner.array(19)
	builtWith := g.BuiltWith
	if builtWith == "" {
		builtWith = defaultRubyGems
	}
	inner.text(builtWith)
	inner.fixnum(specificationVersion)
	inner.text(g.Name)
	inner.version(g.Version)
	inner.text(g.Date)
	inner.text(g.Summary)
	inner.requirement(g.Ruby)
	inner.requirement(g.RubyGems)
	inner.text(g.Platform) // original_platform
	inner.array(len(g.Dependencies))
	for _, d := range g.Dependencies {
		inner.dependency(d)
	}
	inner.text("") // rubyforge_project
	inner.null()   // email
	inner.texts(g.Authors)
	inner.text(g.Description)
	inner.text(g.Homepage)
	inner.boolean(true) // has_rdoc
	inner.text(g.Platform)
	inner.texts(g.Licenses)
	inner.hash(len(g.Metadata))
	for _, key := range g.MetadataKeys() {
		inner.text(key)
		inner.text(g.Metadata[key])
	}
	m.out.WriteByte('u')
	m.symbol("Gem::Specification")
	m.bytes(inner.out.String())
}

// gemspecRZ is the document quick/Marshal.4.8/{full name}.gemspec.rz.
func gemspecRZ(g *rubygem.Gem) []byte {
	m := newMarshaller()
	m.specification(g)
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(m.out.Bytes()) // a bytes.Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// dependenciesDocument is the answer of the dependency API.
func dependenciesDocument(all []*rubygem.Gem) []byte {
	m := newMarshaller()
	m.array(len(all))
	for _, g := range all {
		m.hash(4)
		m.symbol("name")
		m.text(g.Name)
		m.symbol("number")
		m.text(g.Version)
		m.symbol("platform")
		m.text(g.Platform)
		m.symbol("dependencies")
		runtime := g.Runtime()
		m.array(len(runtime))
		for _, d := range runtime {
			m.array(2)
			m.text(d.Name)
			m.text(d.Requirement.Join(", "))
		}
	}
	return m.out.Bytes()
}
