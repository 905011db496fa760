// The Kubernetes examples: that they are what their comments say, and run what the program has.

import Foundation
import TestKit
import Testing

/// The parts of a manifest that matter here: of a DaemonSet, a pod, or a partial container.
private struct Manifest: Decodable {
  struct Capabilities: Decodable {
    var add: [String]?
    var drop: [String]?
  }

  struct Profile: Decodable {
    var type: String
  }

  struct SecurityContext: Decodable {
    var capabilities: Capabilities?
    var runAsUser: Int?
    var runAsNonRoot: Bool?
    var privileged: Bool?
    var allowPrivilegeEscalation: Bool?
    var readOnlyRootFilesystem: Bool?
    var seccompProfile: Profile?
  }

  struct Variable: Decodable {
    var name: String
    var value: String
  }

  struct Resources: Decodable {
    var limits: [String: String]
  }

  struct Container: Decodable {
    var name: String
    var args: [String]?
    var env: [Variable]?
    var resources: Resources?
    var securityContext: SecurityContext
  }

  struct PodSpec: Decodable {
    var hostPID: Bool?
    var hostNetwork: Bool?
    var shareProcessNamespace: Bool?
    var automountServiceAccountToken: Bool?
    var securityContext: SecurityContext
    var containers: [Container]
  }

  struct Template: Decodable {
    var spec: PodSpec
  }

  /// Of a DaemonSet, a pod or a policy.
  struct Spec: Decodable {
    var template: Template?
    var pod: PodSpec?
    var policyTypes: [String]?

    init(from decoder: any Decoder) throws {
      let keys = try decoder.container(keyedBy: CodingKeys.self)
      template = try keys.decodeIfPresent(Template.self, forKey: .template)
      policyTypes = try keys.decodeIfPresent([String].self, forKey: .policyTypes)
      pod = template == nil && policyTypes == nil ? try PodSpec(from: decoder) : nil
    }

    enum CodingKeys: CodingKey {
      case template
      case policyTypes
    }
  }

  var kind: String?
  var spec: Spec?
  /// Of a partial container.
  var securityContext: SecurityContext?

  /// The pod that is described, if any is.
  var pod: PodSpec? { spec?.template?.spec ?? spec?.pod }
}

@Suite("The Kubernetes examples")
struct ManifestTests {
  private static let directory = Packages.sources + "/kubernetes"
  private static let names: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(atPath: directory)
    return names?.sorted() ?? []
  }()

  /// What a file says, parsed by Python's YAML.
  private func manifests(_ name: String) throws -> [Manifest] {
    let script = """
      import json, sys, yaml
      json.dump(list(yaml.safe_load_all(open(sys.argv[1], encoding="utf-8"))), sys.stdout)
      """
    let json = try run(
      try installedProgram("python3"), ["-c", script, Self.directory + "/" + name])
    return try JSONDecoder().decode([Manifest].self, from: Data(json.utf8))
  }

  /// The capabilities that the comment at a file's top names.
  private func statedCapabilities(_ name: String) throws -> [String] {
    let prefix = "# Capabilities: "
    let lines = try text(ofFile: Self.directory + "/" + name).split(separator: "\n")
    let stated = lines.filter { $0.hasPrefix(prefix) }
    try #require(stated.count == 1)
    let list = stated[0].dropFirst(prefix.count)
    return list == "none" ? [] : list.components(separatedBy: ", ")
  }

  /// Whose capabilities they are: malloscope's own.
  private func securityContexts(_ manifests: [Manifest]) -> [Manifest.SecurityContext] {
    manifests.compactMap(\.securityContext)
      + manifests.compactMap(\.pod).flatMap(\.containers).filter { $0.name == "malloscope" }
      .map(\.securityContext)
  }

  @Test("are these files")
  func areThese() {
    #expect(
      Self.names == [
        "daemonset.yaml", "debug-root.yaml", "debug-same-user.yaml", "sidecar-unprivileged.yaml",
        "sidecar.yaml",
      ])
  }

  @Test("drop all capabilities but those that the comment explains", arguments: names)
  func capabilities(name: String) throws {
    let manifests = try manifests(name)
    let contexts = securityContexts(manifests)
    #expect(contexts.count == 1)
    let stated = try statedCapabilities(name)
    for context in contexts {
      #expect(context.capabilities?.drop == ["ALL"])
      #expect((context.capabilities?.add ?? []) == stated)
      #expect(context.privileged == nil)
      #expect(context.allowPrivilegeEscalation == false)
      #expect(context.readOnlyRootFilesystem == true)
      // Those of another user are not in effect.
      let user = context.runAsUser ?? manifests.compactMap(\.pod).first?.securityContext.runAsUser
      #expect((user == 0) == !stated.isEmpty)
      #expect(user != nil)
    }
    let comment = try text(ofFile: Self.directory + "/" + name).split(separator: "\n")
      .filter { $0.hasPrefix("#") }.joined(separator: "\n")
    for capability in stated { #expect(comment.contains("- \(capability): ")) }
  }

  @Test(
    "share processes and nothing else, and leave enough memory",
    arguments: ["daemonset.yaml", "sidecar.yaml", "sidecar-unprivileged.yaml"])
  func pods(name: String) throws {
    let pod = try #require(try manifests(name).compactMap(\.pod).first)
    #expect((pod.hostPID ?? false) != (pod.shareProcessNamespace ?? false))
    #expect(pod.hostNetwork == nil)
    #expect(pod.automountServiceAccountToken == false)
    #expect(pod.securityContext.seccompProfile?.type == "RuntimeDefault")
    let container = try #require(pod.containers.first { $0.name == "malloscope" })
    let memory = try #require(container.resources?.limits["memory"])
    #expect(memory.hasSuffix("Mi") && (Int(memory.dropLast(2)) ?? 0) >= 2 * 64)
  }

  @Test(
    "run what the program understands, which ends with 66 where no such process is",
    arguments: ["daemonset.yaml", "sidecar.yaml", "sidecar-unprivileged.yaml"])
  func arguments(name: String) throws {
    let pod = try #require(try manifests(name).compactMap(\.pod).first)
    let container = try #require(pod.containers.first { $0.name == "malloscope" })
    let variables = (container.env ?? []).map { ($0.name, Optional($0.value)) }
    #expect(variables.map(\.0) == ["MALLOSCOPE_MAX_PAUSE", "MALLOSCOPE_MAX_STOPPED"])
    let run = try ToolRun(
      try #require(container.args), environment: Dictionary(uniqueKeysWithValues: variables))
    #expect(run.ending == .exit(66), "\(run.error)")
    #expect(run.error.contains("no process matches --name '^ingest$'"), "\(run.error)")
  }
}
