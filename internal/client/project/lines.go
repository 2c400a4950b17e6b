package project

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lines are the line numbers of the settings in the file, by names such as
// repository[0].profile; repository[0] is the line of the table itself.
type lines map[string]int

// parseLines reads the line numbers of a text that is valid TOML.
func parseLines(text []byte) lines {
	found := make(lines)
	counts := make(map[string]int)
	table := ""
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		node := p.Expression()
		var key []string
		line := 0
		for keys := node.Key(); keys.Next(); {
			if line == 0 {
				line = p.Shape(keys.Node().Raw).Start.Line
			}
			key = append(key, string(keys.Node().Data))
		}
		name := dotted(key)
		switch node.Kind {
		case unstable.ArrayTable:
			table = fmt.Sprintf("%s[%d]", name, counts[name])
			counts[name]++
			found[table] = line
		case unstable.Table:
			table = name
		case unstable.KeyValue:
			if table != "" {
				name = table + "." + name
			}
			found[name] = line
		}
	}
	return found
}

// prefix is the start of a message about a setting: the line of the setting or, if it
// is missing, of its table. It is "" without a file.
func (l lines) prefix(table, setting string) string {
	for _, name := range []string{table + "." + setting, table} {
		if line, ok := l[name]; ok {
			return fmt.Sprintf("line %d: ", line)
		}
	}
	return ""
}

func dotted(key []string) string { return strings.Join(key, ".") }
