package operatormodel_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

func TestTable(t *testing.T) {
	table, err := operatormodel.Table()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range table.Operations {
		if o.Input != name+"Input" || o.Output != name+"Output" {
			t.Errorf("%s has %s and %s", name, o.Input, o.Output)
		}
	}
	info := table.Shapes["GetServerInfoOutput"]
	if info == nil || info.Members["startedAt"].Field != "StartedAt" || table.Shapes[info.Members["regions"].Shape].Type != "list" {
		t.Errorf("GetServerInfoOutput is %+v", info)
	}
	undo := table.Shapes["UndoRetentionInput"]
	if undo == nil || len(undo.Members) != 4 || !undo.Members["domain"].Required || undo.Members["domainOwner"].Required || !undo.Members["runId"].Required {
		t.Errorf("UndoRetentionInput, which embeds RepositoryName, is %+v", undo)
	}
}
