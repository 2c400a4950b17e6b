package yamledit

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Include adds a string at the end of a list, unless it is there. A missing
// list is added. The error is the one of [Set].
func Include(text []byte, path []string, item string) ([]byte, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	at, items, err := doc.list(path)
	if err != nil {
		return nil, err
	}
	list, there := at.value.(*ast.SequenceNode)
	switch {
	case slices.Contains(items, item):
		return text, nil
	case !there || len(at.missing) > 0:
		if err := doc.insert(at, "", "- "+quote(item, "")); err != nil {
			return nil, err
		}
	case list.IsFlowStyle:
		if err := doc.push(list, item); err != nil {
			return nil, err
		}
	default:
		entry, limit := at.chain[len(at.chain)-1], at.limits[len(at.limits)-1]
		indent := doc.Lines[line(list)].Text[:doc.column(list)]
		doc.Insert(doc.last(entry, limit)+1, indent+"- "+quote(item, ""))
	}
	return doc.finish(text, path, func(now *document) bool {
		_, got, err := now.list(path)
		return err == nil && slices.Equal(got, append(items, item))
	})
}

// Exclude removes a string from a list, and the list if nothing is left, as
// [Delete] does. A text without it is returned as it is. The error is the one
// of Set.
func Exclude(text []byte, path []string, item string) ([]byte, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	at, items, err := doc.list(path)
	if err != nil {
		return nil, err
	}
	i := slices.Index(items, item)
	if i < 0 {
		return text, nil
	}
	if len(items) == 1 {
		return Delete(text, path)
	}
	list := at.value.(*ast.SequenceNode)
	if list.IsFlowStyle {
		if err := doc.pull(list, i); err != nil {
			return nil, err
		}
	} else {
		doc.dropLines(line(list.Values[i]), line(list.Values[i])+1)
	}
	return doc.finish(text, path, func(now *document) bool {
		_, got, err := now.list(path)
		return err == nil && slices.Equal(got, slices.Delete(slices.Clone(items), i, i+1))
	})
}

// Items returns the strings of a list, with "" for items that are not scalars;
// none if the list is missing. The error is the one of [Get].
func Items(text []byte, path []string) ([]string, error) {
	doc, err := parse(text)
	if err != nil {
		return nil, err
	}
	_, items, err := doc.list(path)
	return items, err
}

// list finds a list and its items.
func (d *document) list(path []string) (place, []string, error) {
	at, err := d.find(path)
	if err != nil || at.value == nil || len(at.missing) > 0 {
		return at, nil, err
	}
	list, ok := at.value.(*ast.SequenceNode)
	if !ok {
		return at, nil, d.wrong(at.value, "%s is not a list", strings.Join(path, ": "))
	}
	var items []string
	for _, v := range list.Values {
		item, _ := scalar(v)
		items = append(items, item)
	}
	return at, items, nil
}

// push adds an item to a list in brackets.
func (d *document) push(list *ast.SequenceNode, item string) error {
	if list.End == nil || list.End.Position.Line-1 != line(list) {
		return d.wrong(list, "the list in brackets spans several lines; write it on one line")
	}
	text := d.Lines[line(list)].Text
	end := byteIndex(text, list.End.Position.Column-1)
	body := strings.TrimRight(text[:end], " \t")
	switch {
	case len(list.Values) == 0:
	case strings.HasSuffix(body, ","):
		body += " "
	default:
		body += ", "
	}
	d.Lines[line(list)].Text = body + quote(item, "") + text[len(strings.TrimRight(text[:end], " \t")):]
	return nil
}

// pull removes an item from a list in brackets, with a comma.
func (d *document) pull(list *ast.SequenceNode, i int) error {
	if list.End == nil || list.End.Position.Line-1 != line(list) {
		return d.wrong(list, "the list in brackets spans several lines; write it on one line")
	}
	text := d.Lines[line(list)].Text
	from := d.column(list.Values[i])
	to := from + scalarLength(text[from:], true)
	if i > 0 { // with the comma before it, as push wrote it
		before := d.column(list.Values[i-1])
		from = before + scalarLength(text[before:], true)
	} else {
		to = d.column(list.Values[i+1])
	}
	d.Lines[line(list)].Text = text[:from] + text[to:]
	return nil
}
