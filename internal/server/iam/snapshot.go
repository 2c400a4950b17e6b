package iam

import (
	"cmp"
	"iter"
	"log/slog"
	"strings"

	"github.com/benbjohnson/immutable"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
	"github.com/gatehouse-registry/gatehouse/internal/policy"
)

// A snapshot is all of IAM at one moment. It is immutable: put and drop return
// another one that shares almost everything with it, so that a change costs the
// same with ten users as with 100,000.
type Snapshot struct {
	// seq is the number of the last change that is in it.
	seq int64
	// generation is another one whenever what an entity is given by others may
	// have changed: a managed policy or a group. See resolution.
	generation int64
	byID       *immutable.Map[string, Entity]
	byName     *immutable.SortedMap[nameKey, Entity]
	// keys finds the owner of a long-term access key.
	keys *immutable.Map[string, Entity]
	// used counts the references to each policy and group.
	used *immutable.Map[string, int]
	// guardrails is [Config.Guardrail].
	guardrails func(account string) *policy.Policy
}

// nameKey orders entities as lists do. Names that differ only in case are the
// same name (IAM User Guide, "IAM and AWS STS quotas", name requirements).
type nameKey struct {
	account string
	kind    Kind
	name    string // in lower case
}

func keyOf(e Entity) nameKey {
	c := e.Base()
	return nameKey{c.Account, e.Kind(), strings.ToLower(c.Name)}
}

type byNameOrder struct{}

func (byNameOrder) Compare(a, b nameKey) int {
	return cmp.Or(
		cmp.Compare(a.account, b.account),
		cmp.Compare(a.kind, b.kind),
		cmp.Compare(a.name, b.name),
	)
}

// newSnapshot holds the entities, which are compiled already.
func newSnapshot(seq int64, entities iter.Seq[Entity]) *Snapshot {
	byID := immutable.NewMapBuilder[string, Entity](nil)
	byName := immutable.NewSortedMapBuilder[nameKey, Entity](byNameOrder{})
	keys := immutable.NewMapBuilder[string, Entity](nil)
	used := map[string]int{}
	for e := range entities {
		byID.Set(e.Base().ID, e)
		byName.Set(keyOf(e), e)
		for _, k := range e.AccessKeys() {
			keys.Set(k.ID, e)
		}
		for _, r := range e.references() {
			used[r]++
		}
	}
	return &Snapshot{
		seq: seq, generation: seq,
		byID: byID.Map(), byName: byName.Map(), keys: keys.Map(), used: immutable.NewMapOf(nil, used),
	}
}

// put returns the snapshot with e in the place of the entity with its id.
func (s *Snapshot) put(e Entity) *Snapshot {
	next := s.drop(e.Base().ID)
	next.byID = next.byID.Set(e.Base().ID, e)
	next.byName = next.byName.Set(keyOf(e), e)
	for _, k := range e.AccessKeys() {
		next.keys = next.keys.Set(k.ID, e)
	}
	for _, r := range e.references() {
		next.refer(r, 1)
	}
	next.outdate(e)
	return next
}

// drop returns the snapshot without the entity of that id.
func (s *Snapshot) drop(id string) *Snapshot {
	next := new(*s)
	old, ok := s.byID.Get(id)
	if !ok {
		return next
	}
	next.byID = next.byID.Delete(id)
	// While a server follows others, another entity may have the name already.
	if owner, _ := next.byName.Get(keyOf(old)); owner != nil && owner.Base().ID == id {
		next.byName = next.byName.Delete(keyOf(old))
	}
	for _, k := range old.AccessKeys() {
		next.keys = next.keys.Delete(k.ID)
	}
	for _, r := range old.references() {
		next.refer(r, -1)
	}
	next.outdate(old)
	return next
}

func (s *Snapshot) refer(name string, by int) {
	n, _ := s.used.Get(name)
	if n += by; n == 0 {
		s.used = s.used.Delete(name)
	} else {
		s.used = s.used.Set(name, n)
	}
}

func (s *Snapshot) outdate(e Entity) {
	if k := e.Kind(); k == KindPolicy || k == KindGroup {
		s.generation++
	}
}

// uses returns the number of references; see attachmentOf and its like.
func (s *Snapshot) uses(reference string) int {
	n, _ := s.used.Get(reference)
	return n
}

// get returns the entity with the id, if it is of type E.
func get[E Entity](s *Snapshot, id string) (E, bool) {
	e, _ := s.byID.Get(id)
	typed, ok := e.(E)
	return typed, ok
}

// named returns the entity with that name. The case counts, as in its ARN.
func (s *Snapshot) named(account string, kind Kind, name string) (Entity, bool) {
	e, ok := s.byName.Get(nameKey{account, kind, strings.ToLower(name)})
	if !ok || e.Base().Name != name {
		return nil, false
	}
	return e, true
}

// taken reports whether a name is in use, in any case.
func (s *Snapshot) taken(account string, kind Kind, name string) bool {
	_, ok := s.byName.Get(nameKey{account, kind, strings.ToLower(name)})
	return ok
}

// policyByARN returns the managed policy with the ARN.
func (s *Snapshot) policyByARN(policyARN string) (*Policy, bool) {
	e, ok := s.byARN(policyARN)
	p, isPolicy := e.(*Policy)
	return p, ok && isPolicy
}

// byARN returns the user, group, role or managed policy with the ARN.
func (s *Snapshot) byARN(text string) (Entity, bool) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "iam" {
		return nil, false
	}
	for _, kind := range []Kind{KindUser, KindRole, KindGroup, KindPolicy} {
		path, ok := strings.CutPrefix(a.Resource, kind.Noun()+"/")
		if !ok {
			continue
		}
		e, ok := s.named(a.AccountID, kind, path[strings.LastIndexByte(path, '/')+1:])
		if ok && ARNOf(e) == text { // the path too, by which policies name it
			return e, true
		}
	}
	return nil, false
}

// list yields the entities of a kind whose names come after a name, in order.
func list[E Entity](s *Snapshot, account string, kind Kind, after string) iter.Seq[E] {
	return func(yield func(E) bool) {
		from := nameKey{account, kind, strings.ToLower(after)}
		it := s.byName.Iterator()
		for it.Seek(from); !it.Done(); {
			k, e, _ := it.Next()
			if k.account != account || k.kind != kind {
				return
			}
			if k == from && after != "" {
				continue
			}
			if !yield(e.(E)) {
				return
			}
		}
	}
}

// declared yields the entities that the configuration declares, in order.
func (s *Snapshot) declared() iter.Seq[Entity] {
	return func(yield func(Entity) bool) {
		for it := s.byName.Iterator(); !it.Done(); {
			if _, e, _ := it.Next(); e.Base().Declared && !yield(e) {
				return
			}
		}
	}
}

// A compiler parses each distinct text once.
type compiler struct {
	seen map[text]*policy.Policy
}

type text struct {
	kind     policy.Kind
	document string
}

func newCompiler() *compiler { return &compiler{map[text]*policy.Policy{}} }

// policy compiles what was valid when it was written, and labels it. Should a
// newer version of the server not understand it any more, it denies everything.
func (c *compiler) policy(document string, kind policy.Kind, source policy.Source) *policy.Policy {
	key := text{kind, document}
	p, ok := c.seen[key]
	if !ok {
		var err error
		if p, err = policy.Parse(document, kind); err != nil {
			slog.Error("a stored policy does not parse, and denies everything until it is replaced",
				"name", source.Name, "arn", source.ARN, "attachment", source.Attachment, "error", err)
			p = policy.Unreadable(document, kind)
		}
		c.seen[key] = p
	}
	return p.WithSource(source)
}
