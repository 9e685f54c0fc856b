// The plugins of devices that `hsae fetch plugin` knows by name: the packages that carry them, and the hashes they must
// have. `ModelFetcher` fetches them like models.

import HSAESupport

/// The catalogue of plugins (PJRT) for `hsae train --backend pjrt`.
public enum PluginCatalogue {
  /// All plugins.
  public static let plugins: [CatalogueFile] = [
    CatalogueFile(
      kind: .plugin, name: "cpu", fileName: "pjrt-cpu-0.11.2.so", byteCount: 201_600_336,
      sha256: "ad1309ac822b1b24d51b7f9947c7c9fa9ef5d67f390584cbc3d1fa2428fed9c2",
      licence: "Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0",
      wheels: [
        CatalogueFile.Wheel(
          project: "lammps-jax-pjrt-cpu", version: "0.11.2",
          fileName: "lammps_jax_pjrt_cpu-0.11.2-py3-none-manylinux_2_27_x86_64.whl",
          byteCount: 62_711_338,
          sha256: "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1",
          member: "lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so")
      ])
  ]

  /// The plugin called `name`, ignoring case; nil if there is none.
  public static func plugin(named name: String) -> CatalogueFile? {
    plugins.first { $0.name == name.lowercased() }
  }

  /// The path of the first plugin of the catalogue that was fetched into `cache`; nil if none was.
  public static func fetched(in cache: ModelCache = ModelCache()) -> String? {
    plugins.lazy.map(cache.path(of:)).first { Path.exists($0) }
  }
}
