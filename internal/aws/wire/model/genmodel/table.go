package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// table turns a model of the first SDK into a table.
func table(a *api) (*model.Service, error) {
	md := a.Metadata
	s := &model.Service{
		Name:         cmp.Or(md.SigningName, md.EndpointPrefix),
		Protocol:     model.Protocol(md.Protocol),
		Version:      md.APIVersion,
		TargetPrefix: md.TargetPrefix,
		Namespace:    md.XMLNamespace,
		Operations:   map[string]*model.Operation{},
		Shapes:       map[string]*model.Shape{},
	}
	for name, o := range a.Operations {
		op := &model.Operation{}
		if s.Protocol == model.RestJSON {
			op.Method, op.Path = o.HTTP.Method, o.HTTP.RequestURI
		}
		if o.Input != nil {
			op.Input = o.Input.Shape
		}
		if o.Output != nil {
			op.Output = o.Output.Shape
		}
		s.Operations[name] = op
	}
	for name, from := range a.Shapes {
		shape, err := tableShape(from)
		if err != nil {
			return nil, fmt.Errorf("shape %s: %w", name, err)
		}
		s.Shapes[name] = shape
	}
	return s, nil
}

var shapeTypes = map[string]model.Type{
	"string": model.String, "boolean": model.Boolean, "timestamp": model.Timestamp, "blob": model.Blob,
	"integer": model.Integer, "long": model.Integer, "float": model.Float, "double": model.Float,
	"structure": model.Structure, "list": model.List, "map": model.Map,
}

var locations = map[string]model.Location{
	"": model.InBody, "querystring": model.InQuery, "header": model.InHeader, "uri": model.InPath,
}

func tableShape(from *apiShape) (*model.Shape, error) {
	shape := &model.Shape{
		Type: shapeTypes[from.Type], Enum: from.Enum, Pattern: from.Pattern,
		Min: bound(from.Min), Max: bound(from.Max), Sensitive: from.Sensitive,
	}
	if shape.Type == "" {
		return nil, fmt.Errorf("unknown type %q", from.Type)
	}
	if shape.Min != nil && *shape.Min == 0 && shape.Type != model.Integer {
		shape.Min = nil // nothing is shorter
	}
	if re2 := javaToRE2(from.Pattern); re2 != from.Pattern {
		shape.Expression = re2
	}
	if from.Exception {
		shape.Status = from.Error.HTTPStatusCode
		if shape.Status == 0 { // awsJson1.1 has but two
			shape.Status = 400
			if from.Fault {
				shape.Status = 500
			}
		}
	}
	switch shape.Type {
	case model.List:
		shape.Element = from.Member.Shape
	case model.Map:
		shape.Key, shape.Element = from.Key.Shape, from.Value.Shape
	case model.Structure:
		shape.Members = map[string]*model.Member{}
	}
	for name, ref := range from.Members {
		in, ok := locations[ref.Location]
		if !ok {
			return nil, fmt.Errorf("member %s: unknown location %q", name, ref.Location)
		}
		m := &model.Member{Shape: ref.Shape, In: in, Name: ref.LocationName}
		if from.Payload == name {
			m.In = model.InPayload
		}
		shape.Members[name] = m
	}
	return shape, nil
}

func bound(f *float64) *int64 {
	if f == nil {
		return nil
	}
	n := int64(*f)
	return &n
}

// javaToRE2 writes a pattern of the models, which are regular expressions of
// Java, in the syntax of RE2. What RE2 cannot say at all is in the overlay.
func javaToRE2(pattern string) string {
	pattern = strings.ReplaceAll(pattern, `\p{IsWhitespace}`, `\s\p{Z}\x{85}`)
	return javaEscape.ReplaceAllString(pattern, `\x{$1}`)
}

var javaEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)
