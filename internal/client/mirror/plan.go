package mirror

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/lockedversions"
)

// A State says what a repository has of a version or an image.
type State string

// The states.
const (
	// Unknown means that nobody has looked yet.
	Unknown State = ""
	// Held versions are complete, with the hashes of the lock file.
	Held State = "held"
	// Fetched versions were not held before, and are now.
	Fetched State = "fetched"
	// Missing versions, or a file of them, are not held.
	Missing State = "missing"
	// Different versions have a file with another hash than the lock file.
	Different State = "different"
	// Failed means that it could not be found out.
	Failed State = "failed"
)

// An Item is a version that a file names, and what became of it.
type Item struct {
	lockedversions.Version
	// Source is the file and the line.
	Source string
	State  State
	// Message says why the state is not Held or Fetched.
	Message string
}

// An ImageItem is an image that a list names, and what became of it.
type ImageItem struct {
	lockedversions.Image
	Source  string
	State   State
	Message string
	// Digest is the digest of the image, if it is known.
	Digest string
}

// A Plan is what files name.
type Plan struct {
	Items  []Item
	Images []ImageItem
	// Notes say what the files have besides, a line each.
	Notes []string
}

// Add reads a file and adds what it names. What several files name in the same way is in
// the plan once. Errors name the file.
func (p *Plan) Add(path string) error {
	content, err := readFile(path)
	if err != nil {
		return err
	}
	l, err := lockedversions.Read(path, content)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	have := map[string]bool{}
	for i := range p.Items {
		have[p.Items[i].key()] = true
	}
	for _, v := range l.Versions {
		item := Item{Version: v, Source: source(path, v.Line)}
		if !have[item.key()] {
			have[item.key()] = true
			p.Items = append(p.Items, item)
		}
	}
	for _, i := range l.Images {
		p.Images = append(p.Images, ImageItem{Image: i, Source: source(path, i.Line)})
	}
	for _, note := range l.Notes {
		p.Notes = append(p.Notes, path+": "+note)
	}
	return nil
}

// key is the same for items that need the same files.
func (i *Item) key() string { return fmt.Sprint(i.String(), i.Files) }

func source(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, lockedversions.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return content, nil
}

// Formats are the package formats of the plan, sorted.
func (p *Plan) Formats() []string {
	var all []string
	for i := range p.Items {
		all = append(all, p.Items[i].Format)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Count returns how many versions and images are in each state.
func (p *Plan) Count() map[State]int {
	counts := map[State]int{}
	for i := range p.Items {
		counts[p.Items[i].State]++
	}
	for i := range p.Images {
		counts[p.Images[i].State]++
	}
	return counts
}

// Complete reports whether everything is held.
func (p *Plan) Complete() bool {
	counts := p.Count()
	return counts[Held]+counts[Fetched] == len(p.Items)+len(p.Images)
}

// describe names a file for people.
func describe(f *lockedversions.File) string {
	var words []string
	if f.Name != "" {
		words = append(words, f.Name)
	}
	for _, h := range f.Hashes {
		words = append(words, h.String())
	}
	return strings.Join(words, " ")
}
