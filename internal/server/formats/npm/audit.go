package npm

import (
	"compress/gzip"
	"encoding/json"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The bounds of what a client audits at once.
const (
	maxAuditBody     = 8 << 20 // in bytes, after decompression
	maxAuditPackages = 50_000
)

// An advisory is what `npm audit` reads (npm-audit-report, metavuln-calculator).
type advisory struct {
	ID                 uint32   `json:"id"`
	URL                string   `json:"url"`
	Title              string   `json:"title"`
	Severity           string   `json:"severity"`
	VulnerableVersions string   `json:"vulnerable_versions"`
	CWE                []string `json:"cwe"`
	CVSS               struct {
		VectorString *string `json:"vectorString"`
	} `json:"cvss"`
}

// audit answers the bulk endpoint: of the packages and versions in the body, the advisories
// that are known.
func (h *Handler) audit(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	asked, err := readAudit(r)
	if err != nil {
		return err
	}
	if !h.Packages.HasAdvisories() {
		return errNoAdvisories()
	}
	out := map[string][]advisory{}
	for name, versions := range asked {
		id, ok := packument.ParseName(name)
		if !ok {
			continue // a git or a file dependency
		}
		versions = slices.DeleteFunc(versions, func(v string) bool { return !packument.ValidVersion(v) })
		known, err := h.Packages.KnownAdvisories(r.Context(), r.Repository, id, versions)
		if err != nil {
			return err
		}
		for _, a := range known {
			out[name] = append(out[name], newAdvisory(a, versions))
		}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, body)
	return nil
}

func errNoAdvisories() error {
	return fault.New(fault.NotFound, "NoAdvisories", "This registry has no database of security advisories, so nothing was audited. An operator can import one: gatehouse advisories import.")
}

// readAudit reads the body: package → versions.
func readAudit(r *formats.Request) (map[string][]string, error) {
	text, err := readAuditBody(r)
	if err != nil {
		return nil, err
	}
	var asked map[string][]string
	if err := json.Unmarshal(text, &asked); err != nil {
		return nil, formats.BadContent(err, "InvalidBody", "The body must be an object of packages and their versions.")
	}
	if len(asked) > maxAuditPackages {
		return nil, errTooManyAudited()
	}
	return asked, nil
}

func errTooManyAudited() error {
	return fault.New(fault.Invalid, "TooManyPackages", "At most %d packages are audited at once.", maxAuditPackages)
}

// readAuditBody reads the body, which clients compress.
func readAuditBody(r *formats.Request) ([]byte, error) {
	body := io.LimitReader(r.Body, maxAuditBody+1)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, formats.BadContent(err, "InvalidBody", "The body is not compressed as its header says.")
		}
		body = z
	}
	text, err := io.ReadAll(io.LimitReader(body, maxAuditBody+1))
	if err != nil {
		return nil, formats.BadContent(err, "InvalidBody", "The body cannot be read.")
	}
	if len(text) > maxAuditBody {
		return nil, fault.New(fault.TooLarge, "BodyTooLarge", "The body is larger than %d MiB.", maxAuditBody>>20)
	}
	return text, nil
}

func newAdvisory(a *packages.Advisory, versions []string) advisory {
	h := fnv.New32a()
	_, _ = io.WriteString(h, a.ID) // never fails
	out := advisory{ID: h.Sum32(), URL: a.URL, Title: a.ID + ": " + a.Summary, Severity: a.Severity.String(), VulnerableVersions: vulnerable(a, versions), CWE: append([]string{}, a.CWEs...)}
	if out.URL == "" {
		out.URL = "urn:osv:" + a.ID
	}
	if out.Severity == "" {
		out.Severity = "info"
	}
	if a.Score != "" {
		out.CVSS.VectorString = &a.Score
	}
	return out
}

// vulnerable is a range of npm with the versions that an advisory is about: its ranges, and
// of the single versions those that the client asked about.
func vulnerable(a *packages.Advisory, asked []string) string {
	var parts []string
	for _, r := range a.Ranges {
		parts = append(parts, r.String())
	}
	for _, v := range a.Versions {
		if slices.Contains(asked, v) {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " || ")
}
