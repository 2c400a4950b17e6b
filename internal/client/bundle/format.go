package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// The members of a bundle.
const (
	signatureMember = "SHA256SUMS.sig"
	sumsMember      = "SHA256SUMS"
	headerMember    = "bundle.json"
	inventoryMember = "inventory"
	versionsMember  = "versions.jsonl"
	layoutMember    = "oci-layout"
	indexMember     = "index.json"
	blobFolder      = "blobs/sha256/"
)

const (
	formatName = "gatehouse-bundle-1"
	// The sizes of members that are read into memory, in bytes.
	maxSignature = 64 << 10
	maxSums      = 128 << 20
	maxInventory = 256 << 20
	maxIndex     = 64 << 20
	maxHeader    = 1 << 20
	// maxRecord bounds a line of versions.jsonl. A server sends shorter ones.
	maxRecord = 16 << 20
)

// layoutText is the content of oci-layout (OCI Image Layout Specification).
const layoutText = `{"imageLayoutVersion":"1.0.0"}`

// A Header is the content of bundle.json.
type Header struct {
	Format  string    `json:"format"`
	Created time.Time `json:"created"`
	// Source is the repository that the versions are from.
	Source string `json:"source"`
	// Since is the SHA-256 of the SHA256SUMS of the bundle that this one is an increment
	// to, if it is one.
	Since    string `json:"since,omitempty"`
	Versions int    `json:"versions"`
	Images   int    `json:"images"`
}

// fileLine is the line of the inventory of a file of the version.
func fileLine(r *packagerepo.Record, name, sha256 string) string {
	return fmt.Sprintf("file %s %q %q", sha256, r.String(), name)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

func isDigest(s string) bool { return hexDigest.MatchString(s) }

// parseSums reads SHA256SUMS.
func parseSums(text []byte) (map[string]string, error) {
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || !isDigest(sum) || !isMember(name, sum) || sums[name] != "" {
			return nil, fmt.Errorf("%s has a line that a bundle does not have: %.100q", sumsMember, line)
		}
		sums[name] = sum
	}
	return sums, nil
}

func isMember(name, sum string) bool {
	switch name {
	case headerMember, inventoryMember, versionsMember, layoutMember, indexMember:
		return true
	}
	return name == blobFolder+sum
}
