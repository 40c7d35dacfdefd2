# frozen_string_literal: true

require 'fluent/plugin/filter_kubernetes_metadata'

module Fluent
  module Plugin
    # kubernetes_metadata (3.7.1) asks the API server again for each line of a pod that it does not find, and waits for
    # seconds each time when the server is away. This asks once in a while.
    class PodFilter < KubernetesMetadataFilter
      Fluent::Plugin.register_filter('pod', self)

      desc 'For how long a pod that was not found is not asked for again'
      config_param :unknown_ttl, :time, default: 30

      MAX_UNKNOWN = 10_000

      # Fluentd wants a filter to have this by itself.
      def filter(tag, time, record)
        super
      end

      # Nothing of namespaces is wanted, so no right to read them is needed.
      def set_up_namespace_thread; end

      def fetch_pod_metadata(namespace, pod)
        @unknown ||= {}
        key = [namespace, pod]
        return {} if @unknown.fetch(key, 0) > Clock.now

        found = super
        @unknown.clear if @unknown.size >= MAX_UNKNOWN
        found.empty? ? @unknown[key] = Clock.now + @unknown_ttl : @unknown.delete(key)
        found
      end
    end
  end
end
