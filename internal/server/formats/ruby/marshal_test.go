package ruby

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
)

// The bytes are what Ruby's Marshal.dump writes.
func TestMarshal_Specs(t *testing.T) {
	m := newMarshaller()
	m.array(2)
	for _, g := range []rubygem.Gem{{Name: "acme_gem", Version: "1.0.0", Platform: "ruby"}, {Name: strings.Repeat("b", 300), Version: "2.0.a", Platform: "java"}} {
		m.array(3)
		m.text(g.Name)
		m.version(g.Version)
		m.text(g.Platform)
	}
	want := "04085b075b0849220d61636d655f67656d063a064554553a1147656d3a3a56657273696f6e5b0649220a312e302e30063b0054492209727562" +
		"79063b00545b084922022c01" + strings.Repeat("62", 300) + "063b0054553b065b0649220a322e302e61063b005449220" + "96a617661063b0054"
	if got := hex.EncodeToString(m.out.Bytes()); got != want {
		t.Errorf("marshalled\n%s, want\n%s", got, want)
	}
}

func TestMarshal_Integer(t *testing.T) {
	for n, want := range map[int]string{0: "00", 1: "06", 122: "7f", 123: "017b", 255: "01ff", 256: "020001", 65535: "02ffff", 1 << 16: "03000001", 1<<30 - 1: "04ffffff3f"} {
		m := &marshaller{}
		m.integer(n)
		if got := hex.EncodeToString(m.out.Bytes()); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
