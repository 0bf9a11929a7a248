/// Every public item of the core is documented: the public surface against the XML file that the compiler wrote.
module DocumentationTests

open System
open System.IO
open System.Reflection
open System.Xml.Linq
open Expecto

let private documented (assembly: Assembly) =
    let file = Path.ChangeExtension(assembly.Location, ".xml")

    XDocument.Load(file).Descendants(XName.Get "member")
    |> Seq.filter (fun item -> not (String.IsNullOrWhiteSpace item.Value))
    |> Seq.map (fun item -> item.Attribute(XName.Get "name").Value)
    // without parameters and generic arity of methods: overloads share one entry here
    |> Seq.map (fun name -> name.Split('(')[0])
    |> Seq.map (fun name -> name.Split("``")[0])
    |> set

/// What the compiler makes by itself, delegates' plumbing, and overrides, which inherit their documentation.
let private isOurs (item: MemberInfo) =
    let generated =
        item.GetCustomAttributes()
        |> Seq.exists (fun a ->
            let name = a.GetType().Name
            name.StartsWith "CompilerGenerated" || name.StartsWith "DebuggerNonUser")

    let overrides =
        match item with
        | :? MethodInfo as m -> m.GetBaseDefinition() <> m
        | :? PropertyInfo as p -> p.GetMethod <> null && p.GetMethod.GetBaseDefinition() <> p.GetMethod
        | _ -> false

    not generated && not overrides && not (typeof<Delegate>.IsAssignableFrom item.DeclaringType)

let private missing (assembly: Assembly) = [
    let names = documented assembly

    for kind in assembly.GetExportedTypes() do
        let name = kind.FullName.Replace('+', '.')

        if kind.Name <> "Tags" then
            if not (names.Contains("T:" + name)) then
                $"type {name}"

            let flags =
                BindingFlags.Public ||| BindingFlags.Instance ||| BindingFlags.Static ||| BindingFlags.DeclaredOnly

            for item in kind.GetMembers flags do
                match item with
                | :? PropertyInfo as p when isOurs p && not (names.Contains $"P:{name}.{p.Name}") ->
                    $"property {name}.{p.Name}"
                | :? MethodInfo as m when
                    isOurs m
                    && not m.IsSpecialName
                    && not (m.Name.Contains '.')
                    && not (names.Contains $"M:{name}.{m.Name}")
                    ->
                    $"method {name}.{m.Name}"
                | _ -> ()
]

let tests =
    testList "Documentation" [
        for assembly in [ typeof<Continuum.Tableau>.Assembly; typeof<Continuum.Properties.LawResult>.Assembly ] do
            testCase $"every public item of {assembly.GetName().Name} is documented"
            <| fun () -> Expect.isEmpty (missing assembly) "not documented"
    ]
