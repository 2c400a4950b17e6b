package lifecycle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The bounds of a policy (Amazon ECR User Guide, "Service quotas", and
// LifecyclePolicyText in ECR's model).
const (
	MinText  = 100    // characters
	MaxText  = 30_720 // characters
	maxRules = 50
	// maxWildcards is the number of asterisks of one pattern (Amazon ECR User Guide,
	// "Lifecycle policy properties in Amazon ECR", tag pattern list).
	maxWildcards = 4
	// minArchived is the smallest number of days of a rule that removes archived images.
	minArchived = 90
)

// An invalid is why a policy is not valid, in the words of ECR if they are known. ECR
// checks a policy against a JSON schema first, and its words are those of the Java library
// json-schema-validator.
type invalid string

func (e invalid) Error() string { return string(e) }

func invalidf(format string, args ...any) error { return invalid(fmt.Sprintf(format, args...)) }

// Parse parses the text of a policy. The text of an error is what ECR puts into its
// exception as the cause.
func Parse(text string) (*Policy, error) {
	document, err := decode(text)
	if err != nil {
		return nil, err
	}
	root, err := objectOf(document, []string{"rules"}, []string{"rules"})
	if err != nil {
		return nil, err
	}
	list, err := arrayOf(root["rules"])
	if err != nil {
		return nil, err
	}
	if len(list) > maxRules {
		return nil, invalidf("array is too long: must have at most %d elements but instance has %d elements", maxRules, len(list))
	}
	p := new(Policy)
	for _, item := range list {
		r, err := parseRule(item)
		if err != nil {
			return nil, err
		}
		p.Rules = append(p.Rules, r)
	}
	slices.SortStableFunc(p.Rules, func(a, b Rule) int { return a.Priority - b.Priority })
	return p, p.check()
}

// decode reads the only JSON value of a text.
func decode(text string) (document any, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err = d.Decode(&document); err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something after the document")
		}
	}
	if _, isObject := document.(map[string]any); err != nil || !isObject {
		return nil, invalid("Could not map policyString into LifecyclePolicy.")
	}
	return document, nil
}

func parseRule(item any) (r Rule, err error) {
	rule, err := objectOf(item, []string{"rulePriority", "selection", "action"}, []string{"rulePriority", "description", "selection", "action"})
	if err != nil {
		return r, err
	}
	if r.Priority, err = countOf(rule["rulePriority"]); err != nil {
		return r, err
	}
	if r.Description, err = optionalText(rule["description"]); err != nil {
		return r, err
	}
	if r.Selection, err = parseSelection(rule["selection"]); err != nil {
		return r, err
	}
	if r.Action, err = parseAction(rule["action"]); err != nil {
		return r, err
	}
	return r, r.check()
}

func parseSelection(item any) (s Selection, err error) {
	members := []string{"tagStatus", "tagPatternList", "tagPrefixList", "storageClass", "countType", "countUnit", "countNumber"}
	selection, err := objectOf(item, []string{"tagStatus", "countType", "countNumber"}, members)
	if err != nil {
		return s, err
	}
	if s.TagStatus, err = oneOf(selection["tagStatus"], Any, Tagged, Untagged); err != nil {
		return s, err
	}
	if s.CountType, err = oneOf(selection["countType"], ImageCountMoreThan, SinceImagePushed, SinceImagePulled, SinceImageTransitioned); err != nil {
		return s, err
	}
	if s.Count, err = countOf(selection["countNumber"]); err != nil {
		return s, err
	}
	s.StorageClass = Standard
	if class, given := selection["storageClass"]; given {
		if s.StorageClass, err = oneOf(class, Standard, Archive); err != nil {
			return s, err
		}
	}
	unit, hasUnit := selection["countUnit"]
	if hasUnit {
		if _, err := oneOf(unit, "days"); err != nil {
			return s, err
		}
	}
	if hasUnit == (s.CountType == ImageCountMoreThan) {
		return s, errNoVariant
	}
	return s, s.parseTagLists(selection)
}

// errNoVariant is what ECR says if a selection has a member that does not fit to the
// others, or lacks one that they need.
var errNoVariant = invalid("instance failed to match exactly one schema (matched 0 out of 2)")

func (s *Selection) parseTagLists(selection map[string]any) (err error) {
	patterns, hasPatterns := selection["tagPatternList"]
	prefixes, hasPrefixes := selection["tagPrefixList"]
	if s.TagStatus != Tagged {
		if hasPatterns || hasPrefixes {
			return errNoVariant
		}
		return nil
	}
	if hasPatterns == hasPrefixes {
		return errNoVariant
	}
	if hasPrefixes {
		s.Prefixes, err = textsOf(prefixes)
		return err
	}
	if s.Patterns, err = textsOf(patterns); err != nil {
		return err
	}
	for _, pattern := range s.Patterns {
		if strings.Count(pattern, "*") > maxWildcards {
			return invalidf("tagPatternList: the pattern %q has more than %d wildcards", pattern, maxWildcards)
		}
	}
	return nil
}

func parseAction(item any) (Action, error) {
	action, err := objectOf(item, []string{"type"}, []string{"type", "targetStorageClass"})
	if err != nil {
		return "", err
	}
	kind, err := oneOf(action["type"], Expire, Transition)
	if err != nil {
		return "", err
	}
	target, hasTarget := action["targetStorageClass"]
	if hasTarget != (kind == Transition) {
		return "", errNoVariant
	}
	if hasTarget {
		_, err = oneOf(target, Archive)
	}
	return kind, err
}

// check returns an error if the parts of a rule do not fit together.
func (r *Rule) check() error {
	s := &r.Selection
	archived := s.CountType == SinceImageTransitioned
	switch {
	case archived != (s.StorageClass == Archive):
		return invalidf("rule %d: the storageClass archive and the countType sinceImageTransitioned need each other", r.Priority)
	case archived && r.Action != Expire:
		return invalidf("rule %d: the countType sinceImageTransitioned is only possible with the action expire", r.Priority)
	case archived && s.Count < minArchived:
		return invalidf("rule %d: countNumber must be at least %d with the countType sinceImageTransitioned", r.Priority, minArchived)
	}
	return nil
}

// check returns an error if the rules do not fit together.
func (p *Policy) check() error {
	last, lists, untagged := map[StorageClass]TagStatus{}, map[string]bool{}, map[StorageClass]bool{}
	for i := range p.Rules {
		r := &p.Rules[i]
		class := r.Selection.StorageClass
		switch {
		case i > 0 && p.Rules[i-1].Priority == r.Priority:
			return invalidf("rulePriority %d is not unique", r.Priority)
		case last[class] == Any:
			return invalidf("the rule with tagStatus any must have the highest rulePriority of its storage class, and there can be only one")
		case r.Selection.TagStatus == Untagged && untagged[class]:
			return invalidf("there can be only one rule with tagStatus untagged for a storage class")
		case r.Selection.TagStatus == Tagged && lists[r.Selection.listKey()]:
			return invalidf("rule %d: another rule has the same tagPatternList or tagPrefixList", r.Priority)
		}
		last[class], lists[r.Selection.listKey()] = r.Selection.TagStatus, true
		untagged[class] = untagged[class] || r.Selection.TagStatus == Untagged
	}
	return nil
}

// listKey is the same for equal sets of entries.
func (s *Selection) listKey() string {
	all := slices.Sorted(slices.Values(append(slices.Clone(s.Patterns), s.Prefixes...)))
	key, _ := json.Marshal([]any{s.StorageClass, s.Patterns != nil, slices.Compact(all)}) // never fails
	return string(key)
}

// objectOf returns an object that has the required members, and no other ones than those
// that are allowed.
func objectOf(v any, required, allowed []string) (map[string]any, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, wrongType(v, "object")
	}
	var missing, unknown []string
	for _, name := range required {
		if _, ok := o[name]; !ok {
			missing = append(missing, name)
		}
	}
	for name := range o {
		if !slices.Contains(allowed, name) {
			unknown = append(unknown, name)
		}
	}
	switch {
	case unknown != nil:
		return nil, invalidf("object instance has properties which are not allowed by the schema: (%s)", quoted(unknown))
	case missing != nil:
		return nil, invalidf("object has missing required properties (%s)", quoted(missing))
	}
	return o, nil
}

// quoted is a list in order, as JSON.
func quoted(list []string) string {
	slices.Sort(list)
	text, _ := json.Marshal(list) // never fails
	return string(text)
}

func arrayOf(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, wrongType(v, "array")
	}
	if len(list) == 0 {
		return nil, invalid("array is too short: must have at least 1 elements but instance has 0 elements")
	}
	return list, nil
}

// textsOf returns a list of texts that are not empty.
func textsOf(v any) ([]string, error) {
	list, err := arrayOf(v)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(list))
	for i, item := range list {
		text, ok := item.(string)
		if !ok {
			return nil, wrongType(item, "string")
		}
		if text == "" {
			return nil, invalid(`string "" is too short (length: 0, required minimum: 1)`)
		}
		texts[i] = text
	}
	return texts, nil
}

func optionalText(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	text, ok := v.(string)
	if !ok {
		return "", wrongType(v, "string")
	}
	return text, nil
}

// oneOf returns a text that is one of the values.
func oneOf[T ~string](v any, values ...T) (T, error) {
	text, ok := v.(string)
	if ok && slices.Contains(values, T(text)) {
		return T(text), nil
	}
	shown, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = string(value)
	}
	return "", invalidf("instance value (%s) not found in enum :(possible values: %s)", shown, quoted(names))
}

// countOf returns a whole number of at least 1.
func countOf(v any) (int, error) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, wrongType(v, "integer")
	}
	n, err := strconv.ParseInt(number.String(), 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(number.String(), "-"):
		return 0, invalidf("numeric instance is greater than the required maximum (maximum: 2147483647, found: %s)", number)
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, wrongType(v, "integer")
	case n < 1:
		return 0, invalidf("numeric instance is lower than the required minimum (minimum: 1, found: %s)", number)
	}
	return int(n), nil
}

func wrongType(v any, want string) error {
	found := "object"
	switch v := v.(type) {
	case nil:
		found = "null"
	case bool:
		found = "boolean"
	case string:
		found = "string"
	case []any:
		found = "array"
	case json.Number:
		found = "number"
		if _, err := v.Int64(); err == nil {
			found = "integer"
		}
	}
	return invalidf("instance type (%s) does not match any allowed primitive type (allowed: [%q])", found, want)
}
