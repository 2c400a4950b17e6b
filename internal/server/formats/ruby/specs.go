package ruby

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// The lists of all gems in the Marshal format: specs has the releases, latest_specs the
// newest release for each platform, prerelease_specs the others. `gem list -r`, `search`,
// `fetch` and `outdated` read them.
//
// Like the document versions, they have the gems of an external registry too, and are made
// of its list versions. That list says nothing by which a rule of admission could decide.
// So of a gem about which one decides, only what is kept here and admitted is shown.

// maxListed bounds the gems of a list. The public registry has fewer than 2 million.
const maxListed = 8_000_000

// A specsEntry is a name with the numbers that a list shows of it, separated by commas.
type specsEntry struct{ name, numbers string }

func (h *Handler) getSpecs(w http.ResponseWriter, r *formats.Request, rt route) error {
	doc, err := h.Index(r, rt.name, func(ctx context.Context) (*formats.Document, error) {
		return h.Documents.Render(ctx, func() (*formats.Document, error) { return h.renderSpecs(ctx, r, rt.name) })
	})
	if err != nil {
		return err
	}
	doc.Serve(w, r.Request)
	return nil
}

func (h *Handler) renderSpecs(ctx context.Context, r *formats.Request, list string) (*formats.Document, error) {
	l, err := h.allGems(ctx, r)
	if err != nil {
		return nil, err
	}
	var entries []specsEntry
	shown := map[string]bool{} // what the registry's lines say nothing more about
	for p, err := range h.own(ctx, r, l) {
		if err != nil {
			return nil, err
		}
		shown[p.ID.Name] = true
		entries = append(entries, specsEntry{p.ID.Name, keptNumbers(p, list)})
	}
	for _, p := range l.kept {
		if !shown[p.ID.Name] && l.judged(p.ID.Name) {
			entries = append(entries, specsEntry{p.ID.Name, keptNumbers(p, list)})
		}
	}
	all, err := externalNumbers(l)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		entries = append(entries, specsEntry{e.name, selectNumbers(e.numbers, list)})
	}
	body, err := specsGZ(entries)
	return formats.NewDocument("application/octet-stream", body), err
}

// judged reports whether a rule of admission decides about the gem of a registry.
func (l *allGems) judged(name string) bool { return l.external != nil && l.external.Judged(name) }

func keptNumbers(p *packages.Package, list string) string {
	var numbers []string
	for _, b := range listed(p) {
		numbers = append(numbers, b.number())
	}
	return selectNumbers(strings.Join(numbers, ","), list)
}

// externalNumbers returns what the registry's list says of the gems that it decides about.
func externalNumbers(l *allGems) ([]specsEntry, error) {
	var all []specsEntry
	at := map[string]int{} // -1: this server decides
	err := eachLine(l.external, func(line rubygem.VersionsLine, _ []byte) {
		i, met := at[line.Name]
		if !met {
			i = len(all)
			if l.known[line.Name] || l.judged(line.Name) {
				i = -1
			}
			at[line.Name] = i
		}
		switch {
		case i < 0:
		case i == len(all):
			all = append(all, specsEntry{line.Name, line.Numbers})
		default:
			all[i].numbers += "," + line.Numbers
		}
	})
	return all, err
}

// selectNumbers selects from the numbers of one name those of a list. One with a dash before
// it is yanked, unless it follows again later.
func selectNumbers(numbers, list string) string {
	var out []string
	yanked := map[string]int{} // number → where it was yanked last
	if strings.HasPrefix(numbers, "-") || strings.Contains(numbers, ",-") {
		i := 0
		for n := range strings.SplitSeq(numbers, ",") {
			if n, ok := strings.CutPrefix(n, "-"); ok {
				yanked[n] = i
			}
			i++
		}
	}
	newest := map[string]int{} // platform → its place in out
	i := -1
	for n := range strings.SplitSeq(numbers, ",") {
		i++
		version, platform := cutNumber(n)
		if last, ok := yanked[n]; ok && i < last || !rubygem.ValidVersion(version) {
			continue
		}
		if pre := (&rubygem.Gem{Version: version}).Prerelease(); pre != (list == "prerelease_specs") {
			continue
		}
		if list != "latest_specs" {
			out = append(out, n)
			continue
		}
		have, ok := newest[platform]
		if !ok {
			newest[platform] = len(out)
			out = append(out, n)
			continue
		}
		if v, _ := cutNumber(out[have]); packages.Ruby.Compare(version, v) > 0 {
			out[have] = n
		}
	}
	return strings.Join(out, ",")
}

// cutNumber returns the version and the platform of a number: a version has no dash.
func cutNumber(number string) (version, platform string) {
	version, platform, ok := strings.Cut(number, "-")
	if !ok {
		platform = rubygem.AnyPlatform
	}
	return version, platform
}

// specsGZ is one of the lists: the name, version and platform of gems. It is compressed
// while it is written, because the public registry's has 100 MB.
func specsGZ(entries []specsEntry) ([]byte, error) {
	n := 0
	for _, e := range entries {
		if e.numbers != "" {
			n += strings.Count(e.numbers, ",") + 1
		}
	}
	if n > maxListed {
		return nil, fault.New(fault.BadGateway, "UpstreamInvalid", "The list of all gems has more than %d of them.", maxListed)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	m := newMarshaller()
	m.array(n)
	for _, e := range entries {
		if e.numbers == "" {
			continue
		}
		for number := range strings.SplitSeq(e.numbers, ",") {
			version, platform := cutNumber(number)
			m.array(3)
			m.text(e.name)
			m.version(version)
			m.text(platform)
		}
		if _, err := z.Write(m.out.Bytes()); err != nil {
			return nil, err
		}
		m.out.Reset()
	}
	if _, err := z.Write(m.out.Bytes()); err != nil { // of an empty list
		return nil, err
	}
	err := z.Close()
	return b.Bytes(), err
}
