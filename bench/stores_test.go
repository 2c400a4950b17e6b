//go:build stores

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestMeasureAll_Stores runs jobs that read from and write to both stores.
func TestMeasureAll_Stores(t *testing.T) {
	o := quick(t, `^(blob GET 1 KiB|push of 50|npm publish)`)
	o.postgres, o.s3 = os.Getenv("GATEHOUSE_TEST_POSTGRES"), os.Getenv("GATEHOUSE_TEST_S3")
	var out bytes.Buffer
	if err := measureAll(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Job, Baseline string }
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 6 {
		t.Errorf("%d rows, want three jobs with two baselines each", len(rows))
	}
}

// TestCopyRows_Stores is [TestCopyRows] on PostgreSQL.
func TestCopyRows_Stores(t *testing.T) {
	o := quick(t, "")
	o.postgres, o.s3 = os.Getenv("GATEHOUSE_TEST_POSTGRES"), os.Getenv("GATEHOUSE_TEST_S3")
	testCopyRows(t, o)
}
