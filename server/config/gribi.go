package config

// GRIBI is how the routes of outside controllers are taken.
type GRIBI struct {
	// Distance is the administrative distance of the routes, 1 to 254; default 5.
	Distance uint8 `cfg:"distance"`
	// ForwardReferences says what becomes of an entry that refers to one that does not exist; default wait.
	ForwardReferences ForwardReferences `cfg:"forward-references"`
}

// ForwardReferences is what becomes of an entry that refers to one that does not exist.
type ForwardReferences string

// What may become of it.
const (
	WaitForReference   ForwardReferences = "wait"
	RefuseForReference ForwardReferences = "refuse"
)

// Values are what may become of it.
func (ForwardReferences) Values() []string {
	return []string{string(WaitForReference), string(RefuseForReference)}
}

func (v *validator) gribi() {
	if v.c.GRIBI.Distance == 255 {
		v.errs.addf("gribi.distance", "255 is not 1 to 254")
	}
}
