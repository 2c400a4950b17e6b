package policy

import "strings"

// compileResource reads an element of Resource or NotResource: "*", or an ARN
// with wildcards and, after its fifth colon, variables. A star goes on across
// "/", and across ":" too, so that "arn:aws:ecr:*" is every resource of ECR
// (IAM User Guide, "IAM JSON policy elements: Resource").
//
// If incompleteARNs are allowed, a star stands for each part that is missing
// (IAM User Guide, "IAM identifiers", IAM ARNs).
func compileResource(s string, with features) (pattern, error) {
	if s == "*" {
		return compilePattern(s, with|wildcards)
	}
	parts := strings.SplitN(s, ":", 6)
	if parts[0] != "arn" || len(parts) < 3 || parts[1] == "" {
		return pattern{}, malformed("Resource %s must be in ARN format or \"*\".", s)
	}
	if parts[2] == "" || strings.ContainsAny(parts[2], "*?") {
		return pattern{}, detailed(vendorQualified, "%s", s)
	}
	complete := s
	switch missing := 6 - len(parts); {
	case with&incompleteARNs != 0:
		complete += strings.Repeat(":*", missing)
	case missing > 0 && !strings.HasSuffix(s, "*"):
		return pattern{}, malformed("Resource %s is not a whole ARN, and does not end in *", s)
	}
	p, err := compilePattern(complete, with|wildcards)
	if err != nil {
		return pattern{}, err
	}
	colons := 0
	for _, e := range p.elements {
		switch e.kind {
		case text:
			colons += strings.Count(e.text, ":")
		case variable:
			if colons < 5 {
				return pattern{}, malformed("Resource %s has a policy variable before its fifth colon, and none is replaced there", s)
			}
		}
	}
	return p, nil
}

// vendorQualified is IAM's own sentence for an ARN without a service.
const vendorQualified = "Resource vendor must be fully qualified and cannot contain regexes."

// An arnPattern is a value of the Arn operators: six parts, each with wildcards
// of its own, or one variable that holds a whole ARN.
type arnPattern struct {
	parts [6]pattern
	whole *pattern
}

func compileARNPattern(s string, with features) (arnPattern, error) {
	p, err := compilePattern(s, with|wildcards)
	if err != nil {
		return arnPattern{}, err
	}
	if len(p.elements) == 1 && p.elements[0].kind == variable {
		return arnPattern{whole: &p}, nil
	}
	var a arnPattern
	part := 0
	add := func(e element) {
		a.parts[part].elements = append(a.parts[part].elements, e)
		a.parts[part].dynamic = a.parts[part].dynamic || e.kind == variable
	}
	for _, e := range p.elements {
		for e.kind == text && part < 5 {
			before, after, found := strings.Cut(e.text, ":")
			if !found {
				break
			}
			if before != "" {
				add(element{kind: text, text: before})
			}
			part++
			e.text = after
		}
		if e.kind != text || e.text != "" {
			add(e)
		}
	}
	if part < 5 || !strings.HasPrefix(s, "arn:") {
		return arnPattern{}, malformed("%s is not an ARN: want arn:partition:service:region:account-id:resource", s)
	}
	return a, nil
}

func (a *arnPattern) match(value string, ctx Context) match {
	if a.whole != nil {
		if strings.Count(value, ":") < 5 {
			return no
		}
		return a.whole.match(value, ctx)
	}
	answer := yes
	for i := range a.parts {
		part := value
		if i < 5 {
			before, after, found := strings.Cut(value, ":")
			if !found {
				return no
			}
			part, value = before, after
		}
		switch a.parts[i].match(part, ctx) {
		case no:
			return no
		case undecided:
			answer = undecided
		}
	}
	return answer
}
