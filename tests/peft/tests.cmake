# Tests of peft.
