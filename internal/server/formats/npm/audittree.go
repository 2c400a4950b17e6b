package npm

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/npm/packument"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The audit of Yarn 1 and npm 6. They send the tree of what is installed, and read a report
// that says for each advisory which paths of the tree lead to it (npm docs, "auditing
// package dependencies"; the fields are those that yarn's reporter reads).

// An auditNode is an installed package of the tree that a client sends. The root is the
// project itself.
type auditNode struct {
	Version      string                `json:"version"`
	Dev          bool                  `json:"dev"`
	Optional     bool                  `json:"optional"`
	Bundled      bool                  `json:"bundled"`
	Requires     json.RawMessage       `json:"requires"` // name → range; true at the root of npm's lock files
	Dependencies map[string]*auditNode `json:"dependencies"`

	name   string
	parent *auditNode // in whose folder it is installed
	nested int        // how many folders that is
	via    *auditNode // by what it is required; nil for the root and if nothing requires it
	depth  int        // the length of that way
}

type (
	auditReport struct {
		pathBytes int // of all paths

		Actions    []auditAction            `json:"actions"`
		Advisories map[uint32]auditAdvisory `json:"advisories"`
		Muted      []struct{}               `json:"muted"`
		Metadata   auditMetadata            `json:"metadata"`
	}
	auditAction struct {
		Action   string         `json:"action"`
		Module   string         `json:"module"`
		Resolves []auditFinding `json:"resolves"`
	}
	auditFinding struct {
		ID       uint32 `json:"id"`
		Path     string `json:"path"`
		Dev      bool   `json:"dev"`
		Optional bool   `json:"optional"`
		Bundled  bool   `json:"bundled"`
	}
	auditAdvisory struct {
		advisory
		Module          string         `json:"module_name"`
		Overview        string         `json:"overview"`
		Recommendation  string         `json:"recommendation"`
		PatchedVersions string         `json:"patched_versions"`
		CVEs            []string       `json:"cves"`
		CWE             string         `json:"cwe"` // a text here, a list in the newer endpoint
		Findings        []foundVersion `json:"findings"`
	}
	foundVersion struct {
		Version  string   `json:"version"`
		Paths    []string `json:"paths"`
		Dev      bool     `json:"dev"`
		Optional bool     `json:"optional"`
		Bundled  bool     `json:"bundled"`
	}
	auditMetadata struct {
		Vulnerabilities      map[string]int `json:"vulnerabilities"`
		Dependencies         int            `json:"dependencies"`
		DevDependencies      int            `json:"devDependencies"`
		OptionalDependencies int            `json:"optionalDependencies"`
		TotalDependencies    int            `json:"totalDependencies"`
	}
)

// auditTree answers the endpoints of Yarn 1 and npm 6.
func (h *Handler) auditTree(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	nodes, err := readAuditTree(r)
	if err != nil {
		return err
	}
	if !h.Packages.HasAdvisories() {
		return errNoAdvisories()
	}
	report := newAuditReport(nodes)
	byName := map[string][]*auditNode{}
	for _, n := range nodes {
		byName[n.name] = append(byName[n.name], n)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		id, ok := packument.ParseName(name)
		if !ok {
			continue // a git or a file dependency
		}
		installed := slices.DeleteFunc(byName[name], func(n *auditNode) bool { return !packument.ValidVersion(n.Version) })
		var versions []string
		for _, n := range installed {
			versions = append(versions, n.Version)
		}
		known, err := h.Packages.KnownAdvisories(r.Context(), r.Repository, id, versions)
		if err != nil {
			return err
		}
		for _, a := range known {
			report.add(a, name, installed)
		}
	}
	body, err := json.Marshal(report)
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, body)
	return nil
}

// readAuditTree reads the body and returns the installed packages with their paths.
func readAuditTree(r *formats.Request) ([]*auditNode, error) {
	text, err := readAuditBody(r)
	if err != nil {
		return nil, err
	}
	var root auditNode
	if err := json.Unmarshal(text, &root); err != nil {
		return nil, formats.BadContent(err, "InvalidBody", "The body must be the tree of the installed packages.")
	}
	nodes, err := root.all()
	if err != nil {
		return nil, err
	}
	root.findWays()
	return nodes, nil
}

// all returns the packages in the tree below the root, each with its name and parent.
func (n *auditNode) all() (nodes []*auditNode, err error) {
	for folders := []*auditNode{n}; len(folders) > 0; folders = folders[1:] {
		folder := folders[0]
		for _, name := range slices.Sorted(maps.Keys(folder.Dependencies)) {
			child := folder.Dependencies[name]
			if child == nil {
				continue
			}
			child.name, child.parent, child.nested = name, folder, folder.nested+1
			if child.nested > maxAuditDepth {
				return nil, fault.New(fault.Invalid, "TreeTooDeep", "Folders of packages are nested more than %d deep.", maxAuditDepth)
			}
			nodes, folders = append(nodes, child), append(folders, child)
		}
		if len(nodes) > maxAuditPackages {
			return nil, errTooManyAudited()
		}
	}
	return nodes, nil
}

// The bounds of a tree and of the paths of its report: how deep folders are nested and how
// many packages a path has, and the bytes of all paths. Looking for a package goes through
// the folders around it, so without a bound a small body could keep a processor busy for
// minutes.
const (
	maxAuditDepth = 64
	maxAuditPaths = 4 << 20
)

// findWays finds the shortest way by which the project requires each package.
func (n *auditNode) findWays() {
	for next := []*auditNode{n}; len(next) > 0; next = next[1:] {
		from := next[0]
		var requires map[string]json.RawMessage
		if from.depth == maxAuditDepth || json.Unmarshal(from.Requires, &requires) != nil { // true, or none
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(requires)) {
			if to := from.resolve(name); to != nil && to.via == nil {
				to.via, to.depth = from, from.depth+1
				next = append(next, to)
			}
		}
	}
}

// path is how the package is reached, as "a>b".
func (n *auditNode) path() string {
	names := []string{n.name}
	for from := n.via; from != nil && from.name != ""; from = from.via {
		names = append(names, from.name)
	}
	slices.Reverse(names)
	return strings.Join(names, ">")
}

// resolve finds a package as Node.js does: in the own folder, then in those around it.
func (n *auditNode) resolve(name string) *auditNode {
	for ; n != nil; n = n.parent {
		if found := n.Dependencies[name]; found != nil {
			return found
		}
	}
	return nil
}

func newAuditReport(nodes []*auditNode) *auditReport {
	out := &auditReport{
		Actions: []auditAction{}, Advisories: map[uint32]auditAdvisory{}, Muted: []struct{}{},
		Metadata: auditMetadata{Vulnerabilities: map[string]int{"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0}, TotalDependencies: len(nodes)},
	}
	for _, n := range nodes {
		switch {
		case n.Dev:
			out.Metadata.DevDependencies++
		case n.Optional:
			out.Metadata.OptionalDependencies++
		default:
			out.Metadata.Dependencies++
		}
	}
	return out
}

// add adds an advisory about installed versions of a package.
func (r *auditReport) add(a *packages.Advisory, name string, installed []*auditNode) {
	var versions []string
	for _, n := range installed {
		versions = append(versions, n.Version)
	}
	about := auditAdvisory{advisory: newAdvisory(a, versions), Module: name, Overview: a.Summary, PatchedVersions: patched(a), CVEs: []string{}, Findings: []foundVersion{}}
	about.CWE = strings.Join(a.CWEs, ", ")
	for _, alias := range append([]string{a.ID}, a.Aliases...) {
		if strings.HasPrefix(alias, "CVE-") {
			about.CVEs = append(about.CVEs, alias)
		}
	}
	about.Recommendation = "No version is known to be without it."
	if about.PatchedVersions != noVersions {
		about.Recommendation = "Upgrade to version " + about.PatchedVersions + "."
	}
	action := auditAction{Action: "review", Module: name}
	for _, n := range installed {
		if !a.Affects(packages.NPM, n.Version) {
			continue
		}
		r.Metadata.Vulnerabilities[about.Severity]++
		if r.pathBytes > maxAuditPaths { // it counts, without a path
			continue
		}
		path := n.path()
		r.pathBytes += len(path)
		action.Resolves = append(action.Resolves, auditFinding{about.ID, path, n.Dev, n.Optional, n.Bundled})
		about.Findings = append(about.Findings, foundVersion{n.Version, []string{path}, n.Dev, n.Optional, n.Bundled})
	}
	r.Advisories[about.ID] = about
	r.Actions = append(r.Actions, action)
}

// noVersions is a range with no version in it.
const noVersions = "<0.0.0"

// patched is the range of the versions in which an advisory is fixed.
func patched(a *packages.Advisory) string {
	var parts []string
	for _, r := range a.Ranges {
		if part := ">=" + r.Fixed; r.Fixed != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	if parts == nil {
		return noVersions
	}
	return strings.Join(parts, " || ")
}
