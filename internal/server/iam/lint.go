package iam

import (
	"log/slog"

	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// warn logs what is legal and dangerous in the documents that a change, which is
// committed, has put into force: each document once, when it is written.
func (d *Draft) warn() {
	for _, id := range d.changed {
		e, ok := d.byID.Get(id)
		if !ok {
			continue
		}
		before := map[string]bool{}
		if old, ok := d.base.byID.Get(id); ok {
			for _, p := range documents(old) {
				before[p.Document()] = true
			}
		}
		for _, p := range documents(e) {
			if before[p.Document()] {
				continue
			}
			for _, warning := range p.Warnings() {
				slog.Warn("a policy is legal but may be a mistake", "entity", ARNOf(e), "policy", p.Source().Name, "warning", warning)
			}
		}
	}
}

// documents are the policies that are part of an entity and in force.
func documents(e Entity) []*policy.Policy {
	switch e := e.(type) {
	case *User:
		return e.inline
	case *Group:
		return e.inline
	case *Role:
		return append(e.inline[:len(e.inline):len(e.inline)], e.trust)
	case *Policy:
		return []*policy.Policy{e.compiled}
	}
	return nil
}
