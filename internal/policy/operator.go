package policy

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"time"
)

// An operator is a condition operator without its prefix and suffix.
type operator struct {
	negated bool
	// compile makes a test from the values in the document.
	compile func(values []string, with features) (test, error)
}

// operators are all that IAM has, by name in lower case (IAM User Guide, "IAM
// JSON policy elements: Condition operators"). Null is apart.
var operators = map[string]operator{
	"stringequals":              {false, compileStringEquals},
	"stringnotequals":           {true, compileStringEquals},
	"stringequalsignorecase":    {false, compileStringEqualsIgnoreCase},
	"stringnotequalsignorecase": {true, compileStringEqualsIgnoreCase},
	"stringlike":                {false, compileStringLike},
	"stringnotlike":             {true, compileStringLike},

	"numericequals":            {false, compileNumeric(equal)},
	"numericnotequals":         {true, compileNumeric(equal)},
	"numericlessthan":          {false, compileNumeric(less)},
	"numericlessthanequals":    {false, compileNumeric(lessOrEqual)},
	"numericgreaterthan":       {false, compileNumeric(greater)},
	"numericgreaterthanequals": {false, compileNumeric(greaterOrEqual)},

	"dateequals":            {false, compileDate(equal)},
	"datenotequals":         {true, compileDate(equal)},
	"datelessthan":          {false, compileDate(less)},
	"datelessthanequals":    {false, compileDate(lessOrEqual)},
	"dategreaterthan":       {false, compileDate(greater)},
	"dategreaterthanequals": {false, compileDate(greaterOrEqual)},

	"bool":         {false, compileBool},
	"binaryequals": {false, compileBinary},

	"ipaddress":    {false, compileIPAddress},
	"notipaddress": {true, compileIPAddress},

	// ArnEquals and ArnLike are the same.
	"arnequals":    {false, compileARN},
	"arnlike":      {false, compileARN},
	"arnnotequals": {true, compileARN},
	"arnnotlike":   {true, compileARN},
}

// unknownOperator is the sentence for policies with principals; identity policies
// have "Syntax errors in policy.".
const unknownOperator = "Invalid Condition type"

// compileCondition compiles one key of one operator.
func compileCondition(name, key string, values []string, with features) (condition, error) {
	c := condition{key: strings.ToLower(key)}
	base := strings.ToLower(name)
	if base == "null" {
		bools, err := parseBools(values)
		c.test = nullTest{bools}
		return c, err
	}
	if after, ok := strings.CutPrefix(base, "forallvalues:"); ok {
		base, c.over = after, forAllValues
	} else if after, ok := strings.CutPrefix(base, "foranyvalue:"); ok {
		base, c.over = after, forAnyValue
	}
	base, c.ifExists = strings.CutSuffix(base, "ifexists")
	op, ok := operators[base]
	if !ok {
		return condition{}, detailed(unknownOperator, "%s", name)
	}
	c.negated = op.negated
	var err error
	c.test, err = op.compile(values, with)
	return c, err
}

// stringTest compares with patterns. Patterns of StringLike have wildcards.
type stringTest []pattern

func (t stringTest) match(value string, ctx Context) match {
	return matchAny(t, value, ctx)
}

func compileStringEquals(values []string, with features) (test, error) {
	return compileStrings(values, with&^wildcards)
}

func compileStringLike(values []string, with features) (test, error) {
	return compileStrings(values, with|wildcards)
}

func compileStrings(values []string, with features) (stringTest, error) {
	t := make(stringTest, len(values))
	for i, v := range values {
		var err error
		if t[i], err = compilePattern(v, with); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// foldedTest is StringEqualsIgnoreCase.
type foldedTest []pattern

func compileStringEqualsIgnoreCase(values []string, with features) (test, error) {
	t, err := compileStrings(values, with&^wildcards)
	return foldedTest(t), err
}

func (t foldedTest) match(value string, ctx Context) match {
	answer := no
	for i := range t {
		var few [8]element
		resolved, ok := t[i].resolve(few[:0], ctx)
		if !ok {
			answer = undecided
			continue
		}
		var whole string
		for _, e := range resolved {
			whole += e.text // the usual one element is not copied
		}
		if strings.EqualFold(value, whole) {
			return yes
		}
	}
	return answer
}

// A relation says whether a comparison's result is the wanted one.
type relation func(compared int) bool

func equal(c int) bool          { return c == 0 }
func less(c int) bool           { return c < 0 }
func lessOrEqual(c int) bool    { return c <= 0 }
func greater(c int) bool        { return c > 0 }
func greaterOrEqual(c int) bool { return c >= 0 }

// orderTest compares numbers and dates.
type orderTest[T any] struct {
	parse   func(string) (T, bool)
	compare func(T, T) int
	is      relation
	values  []T
}

func (t orderTest[T]) match(value string, _ Context) match {
	v, ok := t.parse(value)
	if !ok {
		return undecided
	}
	for _, want := range t.values {
		if t.is(t.compare(v, want)) {
			return yes
		}
	}
	return no
}

func compileOrder[T any](t orderTest[T], values []string, what string) (test, error) {
	for _, s := range values {
		v, ok := t.parse(s)
		if !ok {
			return nil, detailed(legacyParsing, "%s is not %s", s, what)
		}
		t.values = append(t.values, v)
	}
	return t, nil
}

func compileNumeric(is relation) func([]string, features) (test, error) {
	return func(values []string, _ features) (test, error) {
		return compileOrder(orderTest[decimal]{parse: parseDecimal, compare: decimal.compare, is: is}, values, "a number")
	}
}

func compileDate(is relation) func([]string, features) (test, error) {
	return func(values []string, _ features) (test, error) {
		return compileOrder(orderTest[time.Time]{parse: parseDate, compare: time.Time.Compare, is: is}, values,
			"a date: want the form 2006-01-02T15:04:05Z, or seconds since 1970")
	}
}

type boolTest []bool

func parseBools(values []string) ([]bool, error) {
	bools := make([]bool, len(values))
	for i, s := range values {
		v, ok := parseBool(s)
		if !ok {
			return nil, detailed(legacyParsing, "%s is not true or false", s)
		}
		bools[i] = v
	}
	return bools, nil
}

func compileBool(values []string, _ features) (test, error) {
	bools, err := parseBools(values)
	return boolTest(bools), err
}

func (t boolTest) match(value string, _ Context) match {
	v, ok := parseBool(value)
	if !ok {
		return undecided
	}
	for _, want := range t {
		if v == want {
			return yes
		}
	}
	return no
}

// binaryTest holds the bytes that the base64 of the document stands for.
type binaryTest []string

func compileBinary(values []string, _ features) (test, error) {
	t := make(binaryTest, len(values))
	for i, s := range values {
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil {
			return nil, detailed(legacyParsing, "%s is not base64", s)
		}
		t[i] = string(b)
	}
	return t, nil
}

func (t binaryTest) match(value string, _ Context) match {
	b, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return undecided
	}
	for _, want := range t {
		if string(b) == want {
			return yes
		}
	}
	return no
}

type ipTest []netip.Prefix

func compileIPAddress(values []string, _ features) (test, error) {
	t := make(ipTest, len(values))
	for i, s := range values {
		p, ok := parsePrefix(s)
		if !ok {
			return nil, detailed(legacyParsing, "%s is not an IP address or a range in CIDR form", s)
		}
		t[i] = p
	}
	return t, nil
}

func (t ipTest) match(value string, _ Context) match {
	a, ok := parseAddr(value)
	if !ok {
		return undecided
	}
	for _, p := range t {
		if p.Contains(a) {
			return yes
		}
	}
	return no
}

type arnTest []arnPattern

func compileARN(values []string, with features) (test, error) {
	t := make(arnTest, len(values))
	for i, s := range values {
		var err error
		if t[i], err = compileARNPattern(s, with); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t arnTest) match(value string, ctx Context) match {
	answer := no
	for i := range t {
		switch t[i].match(value, ctx) {
		case yes:
			return yes
		case undecided:
			answer = undecided
		}
	}
	return answer
}
