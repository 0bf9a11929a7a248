using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Continuum;

namespace Facade;

/// <summary>Laws of the public surface.</summary>
internal static class SurfaceCases
{
    private const BindingFlags Everything =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly Assembly s_facade = typeof(Ode).Assembly;

    internal static IEnumerable<(string Name, Action Body)> All =>
        [
            ("no public signature mentions F# or the core", NoLeak),
            ("every public member is documented", Documented),
            ("every public type lives in the namespace Continuum", OneNamespace),
        ];

    private static bool IsVisible(MemberInfo member) =>
        member switch
        {
            MethodBase method => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly,
            FieldInfo field => field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly,
            PropertyInfo property => property.GetAccessors(true).Any(IsVisible),
            EventInfo e => IsVisible(e.AddMethod!),
            _ => false,
        };

    private static IEnumerable<MemberInfo> Members(Type type) => type.GetMembers(Everything).Where(IsVisible);

    private static IEnumerable<Type> Parts(Type type) =>
        type.HasElementType ? Parts(type.GetElementType()!)
        : type.IsGenericParameter ? type.GetGenericParameterConstraints().SelectMany(Constraint)
        : type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type.GetGenericTypeDefinition())
        : [type];

    /// <summary>A constraint may be on the parameter itself (T : IReal&lt;T&gt;), so parameters inside are not followed.</summary>
    private static IEnumerable<Type> Constraint(Type type) =>
        type.IsGenericType
            ? type.GetGenericArguments().Where(a => !a.IsGenericParameter).SelectMany(Parts).Append(type.GetGenericTypeDefinition())
            : [type];

    private static IEnumerable<Type> Signature(MemberInfo member) =>
        member switch
        {
            MethodInfo method => [method.ReturnType, .. Parameters(method), .. method.GetGenericArguments()],
            MethodBase constructor => Parameters(constructor),
            FieldInfo field => [field.FieldType],
            PropertyInfo property => [property.PropertyType],
            EventInfo e => [e.EventHandlerType!],
            _ => [],
        };

    private static IEnumerable<Type> Parameters(MethodBase method) => method.GetParameters().Select(parameter => parameter.ParameterType);

    private static IEnumerable<Type> Attributes(MemberInfo member) => member.GetCustomAttributesData().Select(data => data.AttributeType);

    private static bool IsForeign(Type type) => type.Assembly.GetName().Name is "FSharp.Core" or "Continuum.Core";

    private static void NoLeak()
    {
        Type[] types = s_facade.GetExportedTypes();
        IEnumerable<string> leaks =
            from type in types
            from mention in (IEnumerable<(string Where, Type Type)>)
                [
                    .. type.GetInterfaces().Append(type.BaseType ?? typeof(object)).Select(t => (type.Name, t)),
                    .. Attributes(type).Select(t => (type.Name, t)),
                    .. Members(type).SelectMany(m => Signature(m).Concat(Attributes(m)).Select(t => ($"{type.Name}.{m.Name}", t))),
                ]
            from part in Parts(mention.Type)
            where IsForeign(part)
            select $"{mention.Where} mentions {part.FullName}";
        string found = string.Join("; ", leaks);
        Check.That(found.Length == 0, $"{found}");
        Check.That(types.Length > 20, $"only {types.Length} types were looked at");

        // The test can fail: an internal member does mention the core.
        Type gradient = typeof(Gradient).GetProperty("Value", Everything)!.PropertyType;
        Check.That(IsForeign(gradient), $"{gradient.FullName} is not seen as foreign");
    }

    private static void Documented()
    {
        string file = Path.ChangeExtension(s_facade.Location, ".xml");
        ILookup<string, string> documented = XDocument
            .Load(file)
            .Descendants("member")
            .Where(member => member.Elements().Any(e => e.Value.Trim().Length > 0 || e.Name == "inheritdoc"))
            .Select(member => member.Attribute("name")!.Value.Split('(')[0])
            .ToLookup(name => name);
        IEnumerable<string> wanted = s_facade
            .GetExportedTypes()
            .SelectMany(type =>
                Members(type)
                    .Where(member => !IsSynthesised(type, member))
                    .Select(member => Id(type, member))
                    .Prepend($"T:{Name(type)}")
            );
        string[] missing = [.. wanted.GroupBy(id => id).Where(ids => documented[ids.Key].Count() < ids.Count()).Select(ids => ids.Key)];
        Check.That(missing.Length == 0, $"{string.Join(", ", missing)}");
    }

    private static string Name(Type type) => type.FullName!.Replace('+', '.');

    private static string Id(Type type, MemberInfo member) =>
        member switch
        {
            FieldInfo => $"F:{Name(type)}.{member.Name}",
            PropertyInfo => $"P:{Name(type)}.{member.Name}",
            ConstructorInfo => $"M:{Name(type)}.#ctor",
            EventInfo => $"E:{Name(type)}.{member.Name}",
            MethodInfo { IsGenericMethod: true } method => $"M:{Name(type)}.{member.Name}``{method.GetGenericArguments().Length}",
            _ => $"M:{Name(type)}.{member.Name}",
        };

    /// <summary>Members that nobody wrote: accessors, what records and delegates get, default constructors.</summary>
    private static bool IsSynthesised(Type type, MemberInfo member)
    {
        bool isRecord = type.GetMethod("<Clone>$", Everything) is not null || type.GetMethod("PrintMembers", Everything) is not null;
        bool isPositional = isRecord && type.GetMethod("Deconstruct", Everything) is not null;
        return member.IsDefined(typeof(CompilerGeneratedAttribute))
            || typeof(Delegate).IsAssignableFrom(type)
            || (member is MethodBase { IsSpecialName: true } and not ConstructorInfo)
            || (member is FieldInfo { IsSpecialName: true })
            || (isRecord && member.Name is "EqualityContract" or "PrintMembers" or "Equals" or "GetHashCode" or "ToString" or "Deconstruct")
            || (isPositional && member is ConstructorInfo or PropertyInfo && !HasOwnDocs(type, member))
            || (member is ConstructorInfo constructor && constructor.GetParameters().Length == 0 && type != typeof(TensorSolveOptions));
    }

    /// <summary>The parameters of a positional record are documented with the type, which the compiler checks.</summary>
    private static bool HasOwnDocs(Type type, MemberInfo member) =>
        member is PropertyInfo
        && !type.GetConstructors(Everything).Any(c => c.GetParameters().Any(parameter => parameter.Name == member.Name));

    private static void OneNamespace()
    {
        string[] elsewhere = [.. s_facade.GetExportedTypes().Where(type => type.Namespace != "Continuum").Select(type => type.FullName!)];
        Check.That(elsewhere.Length == 0, $"{string.Join(", ", elsewhere)}");
    }
}
