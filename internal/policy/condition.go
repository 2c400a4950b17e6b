package policy

// A condition is one key of one operator of a Condition element.
type condition struct {
	key      string // in lower case
	ifExists bool
	// negated operators (StringNotEquals) are satisfied if the test that
	// they negate is not.
	negated bool
	over    quantifier
	test    test
}

// A test compares one value of a request with the values of the policy: whether
// it is equal to, like, less than… one of them.
type test interface {
	match(value string, ctx Context) match
}

// A quantifier says of how many values of the key the test must hold.
type quantifier uint8

const (
	// single is an operator without a set prefix, meant for keys with one value.
	// Of a key with more, an Allow wants all to satisfy it and a Deny one.
	single quantifier = iota
	forAllValues
	forAnyValue
)

// satisfied reports whether the condition holds; what cannot be decided holds
// for a Deny and not for an Allow.
//
// IAM User Guide, "IAM JSON policy elements: Condition operators" and "Set
// operators for multivalued context keys": of a key that the request lacks, a
// negated operator holds, IfExists holds, ForAllValues holds, ForAnyValue does
// not, and no other does.
func (c *condition) satisfied(ctx Context, as effect) bool {
	if null, ok := c.test.(nullTest); ok {
		_, exists := lookup(ctx, c.key)
		return null.satisfied(exists)
	}
	values, exists := lookup(ctx, c.key)
	if !exists {
		switch {
		case c.ifExists:
			return true
		case c.over == single:
			return c.negated
		}
		return c.over == forAllValues
	}
	wantAll := c.over == forAllValues || c.over == single && as == allow
	if len(values) == 1 { // the value is read before ctx is asked for another
		return c.holds(values[0], ctx, as)
	}
	// A test may ask ctx for the value of a variable, and ctx may then reuse
	// what it gave us.
	values = append([]string(nil), values...)
	for _, v := range values {
		if c.holds(v, ctx, as) != wantAll {
			return !wantAll
		}
	}
	return wantAll
}

func (c *condition) holds(value string, ctx Context, as effect) bool {
	m := c.test.match(value, ctx)
	if m == undecided {
		return as == deny
	}
	return (m == yes) != c.negated
}

// nullTest is the operator Null: whether the key is missing.
type nullTest struct{ wantMissing []bool }

func (t nullTest) satisfied(exists bool) bool {
	for _, missing := range t.wantMissing {
		if missing == !exists {
			return true
		}
	}
	return false
}

func (nullTest) match(string, Context) match { return no }
