package inventory

import (
	"maps"
	"slices"
)

// A node is a file or a directory with files that were parsed. Nothing else of an image is
// remembered, so removing what a layer hides costs as many steps as its path has parts,
// however many entries the layers have.
type node struct {
	file     *file // nil for a directory
	children map[string]*node
}

// What is removed of a path.
type removal int

const (
	whole     removal = iota
	onlyFile          // not what is below it
	onlyBelow         // not the file
)

func (n *node) get(parts []string) *file {
	for _, p := range parts {
		if n = n.children[p]; n == nil {
			return nil
		}
	}
	return n.file
}

func (n *node) put(parts []string, f *file) {
	for _, p := range parts {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		next := n.children[p]
		if next == nil {
			next = new(node)
			n.children[p] = next
		}
		n = next
	}
	n.file = f
}

func (n *node) remove(parts []string, what removal) {
	var parent *node
	for _, p := range parts {
		parent = n
		if n = n.children[p]; n == nil {
			return
		}
	}
	switch {
	case what == onlyFile:
		n.file = nil
	case what == onlyBelow:
		n.children = nil
	case parent != nil:
		delete(parent.children, parts[len(parts)-1])
	}
}

// merge adds what a later layer has. The layer has removed from n what it replaces.
func (n *node) merge(later *node) {
	if later.file != nil {
		n.file = later.file
	}
	for name, child := range later.children {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		if have := n.children[name]; have != nil {
			have.merge(child)
		} else {
			n.children[name] = child
		}
	}
}

// each visits the files in the order of their paths.
func (n *node) each(visit func(*file)) {
	if n.file != nil {
		visit(n.file)
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		n.children[name].each(visit)
	}
}
