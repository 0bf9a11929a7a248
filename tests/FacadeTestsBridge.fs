/// The facade's tests, written in C#, as Expecto sees them.
module FacadeTests

open Expecto

let tests =
    testList "Facade" [
        for struct (name, body) in Facade.Cases.All do
            testCase name body.Invoke
    ]
